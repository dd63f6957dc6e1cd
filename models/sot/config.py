"""What a SOT checkpoint is: its encoder, its LLM and its sizes, saved as `config.json` beside the weights."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from models.errors import BadCheckpoint

FORMAT = 1
FRAME_SAMPLES = 320
"""Samples per encoder frame (50 Hz)."""


@dataclass(frozen=True, slots=True)
class ProjectorSettings:
    """stack: encoder frames per frame of the LLM; hidden: width between; scale: of the output, learned from here."""

    stack: int = 4
    hidden: int = 1024
    scale: float = 0.12


@dataclass(frozen=True, slots=True)
class LoraSettings:
    """Low-rank adapters (arXiv 2106.09685) of the LLM's linear layers; `targets` are their last names."""

    rank: int = 16
    alpha: float = 32.0
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class SotConfig:
    """encoder, llm: names in the registry of weights, or of folders; their widths are checked at loading.

    first_pass: what writes the text that the LLM is given (`models.decoders.build.load_first_pass`).
    slots: most speakers in a window; time_features: width of the sinusoidal features of time; max_samples: longest
    window; end_token: id of the LLM's token that ends an answer.
    """

    encoder: str
    encoder_width: int
    llm: str
    llm_width: int
    vocab_size: int
    end_token: int
    projector: ProjectorSettings = ProjectorSettings()
    lora: LoraSettings = LoraSettings()
    first_pass: str = "cascade"
    slots: int = 8
    time_features: int = 128
    max_samples: int = 384_000

    @property
    def step_samples(self) -> int:
        """Samples per frame that the LLM hears; also the grid of times in prompts."""
        return self.projector.stack * FRAME_SAMPLES

    def frames(self, samples: int) -> int:
        """Frames that the LLM hears of so many samples."""
        return -(-samples // self.step_samples)

    def to_json(self) -> str:
        """Text of `config.json`."""
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=1) + "\n"


def config_from_json(text: str, name: str) -> SotConfig:
    """Read `config.json`; `name` is what errors call it.

    Raises:
        BadCheckpoint: not JSON, of another format, or with keys or values that do not belong.
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadCheckpoint(f"{name} is not JSON: {error}") from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise BadCheckpoint(f"{name} is not a SOT configuration of format {FORMAT}")
    lora = _known(values.pop("lora", {}), LoraSettings, f"{name} lora")
    if isinstance(lora.get("targets"), list):
        lora["targets"] = tuple(lora["targets"])
    projector = _known(values.pop("projector", {}), ProjectorSettings, f"{name} projector")
    kept = _known(values, SotConfig, name)
    try:
        return SotConfig(**kept, projector=ProjectorSettings(**projector), lora=LoraSettings(**lora))
    except TypeError as error:
        raise BadCheckpoint(f"{name} lacks keys: {error}") from error


def _known(values: Any, kind: type, name: str) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    kinds = {"int": int, "float": (int, float), "str": str}
    fields = {item.name: str(item.type) for item in dataclasses.fields(kind)}
    if not isinstance(values, dict) or set(values) - set(fields):
        raise BadCheckpoint(f"{name} has keys that are not known: {sorted(set(values) - set(fields))}")
    for key, value in values.items():
        wanted = kinds.get(fields[key])
        if wanted is not None and (not isinstance(value, wanted) or isinstance(value, bool)):  # type: ignore[arg-type]
            raise BadCheckpoint(f"{name}: {key} must be {fields[key]}, found {value!r}")
    return values
