"""Free mode's greedy writing: speakers, times and words of whole windows, under the grammar of `models.sot.free`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from models.sot.free import FreeTurn, Grammar, Place, write_free_prompt
from models.sot.generate import TokenStream
from models.sot.modeling import SotModel


@dataclass(frozen=True, slots=True)
class FreeAnswer:
    """turns: in order of start; ended: by the end mark, not by the limit."""

    turns: tuple[FreeTurn, ...]
    ended: bool


@torch.inference_mode()
def generate_free(model: SotModel, windows: Sequence[torch.Tensor], limit: int) -> list[FreeAnswer]:
    """Write windows without given turns; an answer depends on its own window alone.

    Args:
        windows: (frames, encoder width) states each.
        limit: most ids of an answer.
    """
    if not windows:
        return []
    device, layout = model.llm.device, model.layout
    stream = TokenStream(model, len(windows), model.score_all)
    prompt = model.embed(torch.tensor(write_free_prompt(layout), device=device))
    parts: list[torch.Tensor | None] = []
    grammars = []
    for states in windows:
        steps = -(-len(states) // model.config.projector.stack)
        silent = torch.zeros((steps, layout.slots), device=device)
        parts.append(torch.cat([model.sound(states.to(device), silent), prompt]))
        grammars.append(Grammar(layout, min(steps, layout.times)))
    for _ in range(limit):
        logits = stream.feed(parts, [()] * len(windows))
        for row, grammar in enumerate(grammars):
            if parts[row] is None:
                continue
            allowed = grammar.mask().to(device)
            item = int(logits[row][0].masked_fill(~allowed, -torch.inf).argmax())
            grammar.take(item)
            parts[row] = None if grammar.place is Place.DONE else model.embed(torch.tensor([item], device=device))
        if all(part is None for part in parts):
            break
    return [FreeAnswer(grammar.finish(), grammar.place is Place.DONE) for grammar in grammars]
