"""Generation: one window alone and among others, the cache against a plain forward pass, limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from models.sot.generate import Answer, TurnRequest, WindowRequest, generate
from models.sot.modeling import SotModel
from models.sot.tokens import TurnPrompt, write_prompt
from tests.models.sot.tiny import ENCODER_WIDTH, tiny_config, tiny_llm


@pytest.fixture(scope="module")
def model() -> SotModel:
    llm = tiny_llm()
    torch.manual_seed(1)
    return SotModel(tiny_config(), llm.model).requires_grad_(False).eval()


def request(model: SotModel, frames: int, seed: int, limits: Sequence[int]) -> WindowRequest:
    generator = torch.Generator().manual_seed(seed)
    states = torch.randn((frames, ENCODER_WIDTH), generator=generator)
    activity = torch.rand((-(-frames // 4), model.config.slots), generator=generator)
    turns = [
        TurnRequest(TurnPrompt(number, number, None, (100 + seed,) * number), limit)
        for number, limit in enumerate(limits)
    ]
    return WindowRequest(states, activity, turns)


def plain(model: SotModel, window: WindowRequest) -> list[list[int]]:
    """Every token from a forward pass over all that comes before it, without a cache."""
    read = model.sound(window.states, window.activity)
    written: list[list[int]] = []
    for turn in window.turns:
        read = torch.cat([read, model.embed(torch.tensor(write_prompt(turn.prompt, model.layout)))])
        answer: list[int] = []
        while True:
            hidden = model.llm.base_model(inputs_embeds=read[None]).last_hidden_state[0, -1:]
            token = int(model.score(hidden).argmax())
            if token == model.layout.end_token or len(answer) >= turn.limit:
                break
            answer.append(token)
            read = torch.cat([read, model.embed(torch.tensor([token]))])
        written.append(answer)
        read = torch.cat([read, model.embed(torch.tensor([model.layout.end_token]))])
    return written


def tokens(answers: Sequence[Sequence[Answer]]) -> list[list[list[int]]]:
    return [[answer.tokens for answer in window] for window in answers]


def test_the_cache_changes_nothing(model: SotModel) -> None:
    window = request(model, 40, 1, (6, 9, 4))
    assert tokens(generate(model, [window]))[0] == plain(model, window)


def test_windows_do_not_disturb_one_another(model: SotModel) -> None:
    windows = [request(model, 40, 1, (6, 9)), request(model, 92, 2, (3,)), request(model, 9, 3, (2, 8, 5))]
    windows.insert(1, request(model, 20, 4, ()))
    together = generate(model, windows)
    alone = [generate(model, [window])[0] for window in windows]
    assert tokens(together) == tokens(alone)
    for window, single in zip(together, alone, strict=True):
        for answer, other in zip(window, single, strict=True):
            assert answer.logprobs == pytest.approx(other.logprobs, abs=1e-4)


def test_limits_hold_and_are_told(model: SotModel) -> None:
    for answer in generate(model, [request(model, 40, 1, (0, 5))])[0]:
        assert len(answer.tokens) <= 5
        assert len(answer.tokens) == len(answer.logprobs)
        assert answer.ended or len(answer.tokens) in (0, 5)


def test_an_answer_ends_at_the_end_mark(model: SotModel, monkeypatch: pytest.MonkeyPatch) -> None:
    script = iter([65, 66, model.layout.end_token, 67, model.layout.end_token])

    def score(hidden: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.one_hot(torch.tensor([next(script)]), 258).float() * 9

    monkeypatch.setattr(model, "score", score)
    answers = generate(model, [request(model, 12, 1, (5, 5))], draft=0)[0]
    assert [answer.tokens for answer in answers] == [[65, 66], [67]]
    assert all(answer.ended for answer in answers)


def test_a_prompt_outside_the_layout_is_refused(model: SotModel) -> None:
    bad = WindowRequest(torch.zeros((8, ENCODER_WIDTH)), torch.zeros((2, 8)), [TurnRequest(TurnPrompt(9, 0, 1), 3)])
    with pytest.raises(ValueError, match="slot 9"):
        generate(model, [bad])


@pytest.mark.parametrize("seed", range(6))
def test_guesses_change_no_answer(seed: int) -> None:
    llm = tiny_llm()
    torch.manual_seed(seed)
    model = SotModel(tiny_config(), llm.model).requires_grad_(False).eval().double()
    windows = [request(model, 20 + 9 * number, 10 * seed + number, (7, 12, 5)[: 1 + number]) for number in range(3)]
    windows = [replace(window, activity=window.activity.double()) for window in windows]
    bare = generate(model, windows, draft=0)
    drafted = [
        replace(
            window,
            turns=[
                replace(turn, prompt=replace(turn.prompt, first_pass=spoilt(own.tokens, seed + place)))
                for place, (turn, own) in enumerate(zip(window.turns, answers, strict=True))
            ],
        )
        for window, answers in zip(windows, bare, strict=True)
    ]
    plainly = generate(model, drafted, draft=0)
    for length in (1, 3, 8):
        guessed = generate(model, drafted, draft=length)
        assert tokens(guessed) == tokens(plainly)
        for window, others in zip(guessed, plainly, strict=True):
            for answer, other in zip(window, others, strict=True):
                assert answer.ended == other.ended
                assert answer.logprobs == pytest.approx(other.logprobs, abs=1e-5)


def spoilt(written: Sequence[int], seed: int) -> tuple[int, ...]:
    """A first pass that is right in places: a token changed, dropped or put in between."""
    text = list(written)
    if text:
        place = seed % len(text)
        text[place : place + seed % 2 + 1] = [[], [99], [97, 98]][seed % 3]
    return tuple(text)


def test_right_guesses_save_passes(model: SotModel, monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []

    def score(hidden: torch.Tensor) -> torch.Tensor:
        passes.append(len(hidden))
        script = [70, 71, 72, 73, 74, model.layout.end_token]
        return torch.nn.functional.one_hot(torch.tensor(script[: len(hidden)]), 258).float() * 9

    monkeypatch.setattr(model, "score", score)
    window = request(model, 12, 1, (9,))
    prompt = TurnPrompt(0, 0, None, (70, 71, 72, 73, 74))
    answer = generate(model, [WindowRequest(window.states, window.activity, [TurnRequest(prompt, 9)])])[0][0]
    assert (answer.tokens, answer.ended, passes) == ([70, 71, 72, 73, 74], True, [6])


def test_full_trust_writes_the_first_pass(model: SotModel) -> None:
    window = request(model, 40, 1, (6, 9, 9))
    for answer, turn in zip(generate(model, [window], trust=1e6)[0], window.turns, strict=True):
        assert tuple(answer.tokens) == turn.prompt.first_pass
        assert answer.ended
        assert all(logprob <= 0 for logprob in answer.logprobs)


def test_trust_does_not_depend_on_guesses(model: SotModel) -> None:
    windows = [request(model, 40, 1, (6, 9, 7)), request(model, 20, 2, (5, 8, 8))]
    answers = [tokens(generate(model, windows, draft=draft, trust=1.5)) for draft in (0, 1, 8)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0] != tokens(generate(model, windows))


def test_without_a_first_pass_there_is_nothing_to_trust(model: SotModel) -> None:
    window = request(model, 40, 1, (6, 9))
    blind = replace(
        window, turns=[replace(turn, prompt=replace(turn.prompt, first_pass=None)) for turn in window.turns]
    )
    assert tokens(generate(model, [blind], trust=1e6)) == tokens(generate(model, [blind]))
