"""A training recipe: one TOML file in, checked settings out. Unknown keys are refused by name.

A recipe names its clip manifests by short names; where they lie is said on the command line, so that a recipe holds no
machine's paths.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from models.sot.config import LoraSettings, ProjectorSettings
from models.training.errors import RecipeInvalid
from models.training.simulate.settings import Settings, settings_from

Section = TypeVar("Section")
KINDS = ("sot", "target")


@dataclass(frozen=True, slots=True)
class Group:
    """Windows of one kind.

    manifest: short name of the clips' manifest; windows: how many; silent: nobody speaks, and the turns asked for are
    false alarms of the diarization; simulate: settings of the simulator.
    """

    name: str
    manifest: str
    windows: int
    silent: bool = False
    simulate: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, seed: int) -> Settings:
        """The simulator's settings. Raises SettingsInvalid."""
        return settings_from({"seed": seed, **self.simulate, "num_meetings": self.windows, "prefix": self.name})


@dataclass(frozen=True, slots=True)
class PrepareSettings:
    """groups: what to make; shard_windows: windows per file."""

    groups: tuple[Group, ...] = ()
    seed: int = 0
    shard_windows: int = 16


@dataclass(frozen=True, slots=True)
class ModelNames:
    """What is trained on: an encoder and a language model, each by its name in the registry of weights or a folder.

    first_pass: what writes the text that the language model is given: `cascade`, `target` (the target-speaker model
    that comes with the code), or the folder of a target-speaker checkpoint.
    """

    encoder: str = "whisper-base"
    llm: str = "smollm2-135m-instruct"
    first_pass: str = "cascade"


@dataclass(frozen=True, slots=True)
class PerturbSettings:
    """How the prompt of a window is disturbed in training; all but the last two are probabilities.

    drop_text, swap_text: a turn's first-pass text is left out, or is another turn's
    skip_turn: a turn tells who speaks when, but is not asked for
    wrong_speaker: a turn's slot in the prompt is another's
    drop_activity: the marks of who speaks when are left off the sound
    drop_other: another's turn is left out of what a target-speaker model is told
    mask: bands and moments of a target-speaker model's spectrogram are blotted out (SpecAugment, arXiv 1904.08779)
    drop_sound: the whole sound is replaced by silence (features of zero)
    free: nothing is told of who speaks when; the model writes speakers and times itself (`models.sot.free`)
    jitter_samples: standard deviation of a turn's borders
    speed: how much faster or slower a target-speaker model's sound may be, as a share (Ko et al., 2015)
    """

    drop_text: float = 0.15
    swap_text: float = 0.05
    skip_turn: float = 0.1
    wrong_speaker: float = 0.02
    drop_activity: float = 0.05
    drop_other: float = 0.0
    drop_sound: float = 0.0
    free: float = 0.15
    jitter_samples: float = 1600.0
    speed: float = 0.0
    mask: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """The run.

    steps: optimizer steps; batch: windows per step, of which `micro_batch` are computed at once
    lr, lora_lr: peak rates of all but the adapters, and of the adapters; warmup: steps; floor: least share of the peak
    save_every, validate_every: steps; validate_windows: most held-out windows used
    patience: validations without a better loss before the run ends early; 0 = never
    freeze: parts of the model, by the beginning of their weights' names, that stay as they are at the start
    """

    steps: int = 400
    batch: int = 4
    micro_batch: int = 1
    lr: float = 1e-3
    lora_lr: float = 4e-4
    floor: float = 0.05
    warmup: int = 40
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    save_every: int = 20
    validate_every: int = 50
    validate_windows: int = 48
    patience: int = 0
    freeze: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that a run is made from, but for its manifests and machine.

    kind: what is trained, the SOT decoder (`sot`) or the target-speaker Whisper that hears for it (`target`).
    """

    name: str
    kind: str = "sot"
    models: ModelNames = ModelNames()
    prepare: PrepareSettings = PrepareSettings()
    projector: ProjectorSettings = ProjectorSettings()  # noqa: RUF009
    lora: LoraSettings = LoraSettings()  # noqa: RUF009
    perturb: PerturbSettings = PerturbSettings()
    train: TrainSettings = TrainSettings()


def load_recipe(path: Path) -> Recipe:
    """Read and check a recipe.

    Raises:
        RecipeInvalid: unreadable, not TOML, an unknown key, a missing one, or a value of the wrong kind or range.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeInvalid(f"recipe {path} cannot be read: {error}") from error
    return recipe_from(values)


def recipe_from(values: Mapping[str, Any]) -> Recipe:
    """Check a recipe's keys and values. Raises RecipeInvalid."""
    sections = {
        "models": ModelNames,
        "projector": ProjectorSettings,
        "lora": LoraSettings,
        "perturb": PerturbSettings,
        "train": TrainSettings,
    }
    _refuse_unknown(values, {"name", "kind", "prepare", *sections}, "recipe")
    made: dict[str, Any] = {
        key: _section(kind, _table(values.get(key, {}), key), key) for key, kind in sections.items()
    }
    name = values.get("name")
    if not isinstance(name, str) or not name:
        raise RecipeInvalid("recipe: 'name' must be a text that is not empty")
    kind = values.get("kind", "sot")
    if kind not in KINDS:
        raise RecipeInvalid(f"recipe: 'kind' must be one of {', '.join(KINDS)}, found {kind!r}")
    recipe = Recipe(name, kind, prepare=_prepare(_table(values.get("prepare", {}), "prepare")), **made)
    _check_ranges(recipe)
    return recipe


def _prepare(values: Mapping[str, Any]) -> PrepareSettings:
    plain = {key: value for key, value in values.items() if key != "groups"}
    listed = values.get("groups", [])
    if not isinstance(listed, list):
        raise RecipeInvalid("prepare.groups must be a list of tables")
    groups = []
    for number, item in enumerate(listed):
        where = f"prepare.groups[{number}]"
        table = dict(_table(item, where))
        simulate = _table(table.pop("simulate", {}), f"{where}.simulate")
        groups.append(dataclasses.replace(_section(Group, table, where), simulate=simulate))
    if len({group.name for group in groups}) != len(groups):
        raise RecipeInvalid("prepare.groups: two groups have the same name")
    return dataclasses.replace(_section(PrepareSettings, plain, "prepare"), groups=tuple(groups))


def _section(kind: type[Section], values: Mapping[str, Any], where: str) -> Section:
    fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    _refuse_unknown(values, set(fields), where)
    missing = [
        name
        for name, item in fields.items()
        if name not in values and item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise RecipeInvalid(f"{where}: missing {', '.join(missing)}")
    return kind(**{name: _convert(value, str(fields[name].type), f"{where}.{name}") for name, value in values.items()})


def _convert(value: object, kind: str, where: str) -> object:
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == "tuple[str, ...]" and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    wanted = {"int": int, "float": float, "str": str, "bool": bool}.get(kind)
    if wanted is None or not isinstance(value, wanted) or isinstance(value, bool) != (kind == "bool"):
        raise RecipeInvalid(f"{where} must be {kind}, found {value!r}")
    return value


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RecipeInvalid(f"{where} must be a table, found {value!r}")
    return value


def _refuse_unknown(values: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(values) - known)
    if unknown:
        raise RecipeInvalid(f"{where}: unknown key(s) {', '.join(unknown)}; known are {', '.join(sorted(known))}")


def _check_ranges(recipe: Recipe) -> None:
    train, perturb = recipe.train, recipe.perturb
    for name in ("steps", "batch", "micro_batch", "save_every", "validate_every"):
        if getattr(train, name) < 1:
            raise RecipeInvalid(f"train.{name} must be 1 or more, found {getattr(train, name)}")
    if train.batch % train.micro_batch:
        raise RecipeInvalid(
            f"train.batch ({train.batch}) must be a multiple of train.micro_batch ({train.micro_batch})"
        )
    for item in dataclasses.fields(perturb):
        value = getattr(perturb, item.name)
        if item.name != "jitter_samples" and not 0.0 <= value <= 1.0:
            raise RecipeInvalid(f"perturb.{item.name} is a probability, found {value}")
    if perturb.speed > 0.5:
        raise RecipeInvalid(f"perturb.speed is a share of the speed, at most 0.5, found {perturb.speed}")
    for group in recipe.prepare.groups:
        if group.windows < 1:
            raise RecipeInvalid(f"prepare group {group.name!r}: windows must be 1 or more, found {group.windows}")
    if recipe.prepare.shard_windows < 1:
        raise RecipeInvalid(f"prepare.shard_windows must be 1 or more, found {recipe.prepare.shard_windows}")
