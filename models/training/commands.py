"""The commands of `python -m models.training`: arguments in, work done, errors on stderr."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from models.adapters.lora import adapters_of
from models.decoders.build import DecoderSettings, load_first_pass, load_sot
from models.device import choose_device, choose_dtype, use_threads
from models.errors import ModelError
from models.registry import DEFAULT_WEIGHTS_DIR, load_registry
from models.sot.checkpoint import load_checkpoint, read_config, save_checkpoint
from models.sot.modeling import SotModel
from models.sot.text import plain_decode
from models.target import checkpoint as target_checkpoint
from models.target.training import TargetModel
from models.training.average import average
from models.training.cost import CostMeter
from models.training.cost import render as render_cost
from models.training.errors import RecipeInvalid
from models.training.evaluate import FIRST_PASS, FREE, NO_SOUND, NO_TEXT, WHOLE, Evaluator, render
from models.training.first_pass import rewrite
from models.training.plot import plot_curves
from models.training.prepare import PrepareJob, prepare
from models.training.recipe import Recipe, load_recipe
from models.training.runs import load_state, run_windows
from models.training.setup import encoder_width, load_examples, load_named_llm, make_model, run_weights
from models.training.shards import read_windows
from models.training.simulate.clips import check_disjoint, load_manifest
from models.training.simulate.timing import DEFAULT_TABLE, load_table
from models.training.splits import split_manifest
from models.training.target_setup import load_target_examples, make_target_model, target_config
from models.training.train import Data, Trainer, load_weights
from models.training.windows import NOBODY, make_window
from models.training.workers import Workers, joined


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, or 1 with the error's code and message on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except ModelError as error:
        say(f"error [{error.code}]: {error}")
        return 1
    return 0


def say(text: str) -> None:
    """One line for the person who runs the command."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    make = commands.add_parser("prepare", help="make windows with encoder states and first-pass text")
    make.add_argument("--recipe", type=Path, required=True)
    make.add_argument("--manifest", action="append", default=[], metavar="NAME=PATH", help="clips of the recipe")
    make.add_argument("--held-out", type=Path, action="append", default=[], help="manifest of speakers to keep out")
    make.add_argument("--out", type=Path, required=True, help="folder for the shards")
    make.add_argument("--jobs", type=int, default=1, help="processes")
    _add_machine(make)
    make.set_defaults(run=_prepare)
    _add_hear(commands)
    _add_split(commands)
    _add_train(commands)
    _add_evaluate(commands)
    _add_cost(commands)
    _add_average(commands)
    export = commands.add_parser("export", help="write a run's best weights as a checkpoint")
    export.add_argument("--recipe", type=Path, required=True)
    export.add_argument("--run", type=Path, required=True, dest="folder")
    export.add_argument("--data", type=Path, required=True, help="the prepared set that the run learns from")
    export.add_argument("--out", type=Path, required=True)
    export.add_argument("--last", action="store_true", help="the last weights, not those with the best validation loss")
    _add_machine(export)
    export.set_defaults(run=_export)
    return parser


def _add_average(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    mean = commands.add_parser("average", help="the mean of exported target-speaker checkpoints that share a start")
    mean.add_argument("checkpoint", type=Path, nargs="+")
    mean.add_argument("--share", type=float, action="append", default=[], help="of each checkpoint, in order")
    mean.add_argument("--out", type=Path, required=True)
    mean.set_defaults(run=lambda parsed: average(parsed.checkpoint, parsed.share, parsed.out))


def _add_hear(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    hear = commands.add_parser("hear", help="a prepared set's windows once more, with another first pass's text")
    hear.add_argument("--data", type=Path, required=True, help="prepared set")
    hear.add_argument("--first-pass", required=True, help="cascade, target, or a target-speaker checkpoint")
    hear.add_argument("--out", type=Path, required=True, help="folder of the new set; what exists there is left alone")
    hear.add_argument("--int8", action="store_true", help="8-bit linear layers (CPU): faster, nearly the same text")
    hear.add_argument("--threads", type=int, default=1)
    _add_machine(hear)
    hear.set_defaults(run=_hear)


def _add_split(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    split = commands.add_parser("split", help="divide a manifest into two of different speakers")
    split.add_argument("manifest", type=Path)
    split.add_argument("--train", type=Path, required=True, help="manifest to write")
    split.add_argument("--held-out", type=Path, required=True, help="manifest to write")
    split.add_argument("--share", type=float, default=0.1, help="of the speakers or meetings that are held out")
    split.set_defaults(run=_split)


def _add_evaluate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    evaluate = commands.add_parser("evaluate", help="table of the first pass and the SOT decoder on held-out windows")
    evaluate.add_argument("--checkpoint", type=Path, required=True)
    evaluate.add_argument("--data", type=Path, required=True, help="prepared set")
    evaluate.add_argument("--system", action="append", choices=(FIRST_PASS, WHOLE, NO_TEXT, NO_SOUND, FREE), default=[])
    evaluate.add_argument("--limit", type=int, default=0, help="first windows only")
    evaluate.add_argument("--batch", type=int, default=4, help="windows written at once")
    evaluate.add_argument("--trust", type=float, default=0.0, help="nats that the first pass's next token is ahead")
    evaluate.add_argument("--show", type=int, default=0, help="print what is written in so many windows")
    evaluate.add_argument("--out", type=Path, help="file for the table (Markdown)")
    _add_machine(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _add_cost(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    cost = commands.add_parser("cost", help="seconds of encoder, first pass and LLM per second of sound")
    cost.add_argument("--checkpoint", type=Path, required=True)
    cost.add_argument("--recipe", type=Path, required=True, help="its first group of windows is measured")
    cost.add_argument("--manifest", type=Path, required=True, help="clips of that group")
    cost.add_argument("--windows", type=int, default=12)
    cost.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    cost.add_argument("--int8", action="store_true", help="8-bit linear layers (CPU)")
    cost.add_argument("--threads", type=int, default=0, help="0 = as many as there are cores")
    _add_machine(cost)
    cost.set_defaults(run=_cost)


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser("train", help="train, or go on with a run that was stopped")
    train.add_argument("--recipe", type=Path, required=True)
    train.add_argument("--data", type=Path, required=True, help="prepared set")
    train.add_argument("--held-out", type=Path, help="prepared set of other speakers, for validation")
    train.add_argument("--start-from", type=Path, help="exported checkpoint to begin a new run from")
    train.add_argument("--out", type=Path, required=True, help="the run's folder; an interrupted run there goes on")
    train.add_argument("--until", type=int, help="stop at this step; the same command later goes on")
    precision = (
        "of the LLM while it trains; auto: bfloat16 on a GPU, float32 on a CPU (bfloat16 is a third faster there)"
    )
    train.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto", help=precision)
    _add_machine(train)
    train.set_defaults(run=_train)


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights-dir", type=Path, default=DEFAULT_WEIGHTS_DIR)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def _prepare(parsed: argparse.Namespace) -> None:
    pairs = [item.partition("=") for item in parsed.manifest]
    for name, equals, path in pairs:
        if not (name and equals and path):
            raise RecipeInvalid(f"--manifest takes NAME=PATH, found {name + equals + path!r}")
    recipe = load_recipe(parsed.recipe)
    job = PrepareJob(
        recipe.prepare,
        recipe.models.encoder,
        {name: Path(path) for name, _, path in pairs},
        tuple(parsed.held_out),
        parsed.out,
        parsed.weights_dir,
        parsed.device,
        recipe.models.first_pass,
        recipe.kind == "target",
    )
    prepare(job, parsed.jobs, _progress())
    say(f"{parsed.out} is complete")


def _progress() -> Callable[[int, int], None]:
    began = time.monotonic()
    first: list[int] = []

    def progress(done: int, count: int) -> None:
        first.append(done)
        left_s = (time.monotonic() - began) / (done - first[0] + 1) * (count - done)
        say(f"shard {done} of {count}, {left_s / 60:.0f} min left")

    return progress


def _hear(parsed: argparse.Namespace) -> None:
    device = choose_device(parsed.device)
    use_threads(parsed.threads)
    settings = DecoderSettings(
        load_registry(), parsed.weights_dir, device, choose_dtype("auto", device), quantize=parsed.int8
    )
    first = load_first_pass(parsed.first_pass, settings)
    rewrite(parsed.data, parsed.out, parsed.first_pass, first, _progress())
    say(f"{parsed.out} is complete")


def _split(parsed: argparse.Namespace) -> None:
    kept, held_out = split_manifest(parsed.manifest, parsed.train, parsed.held_out, parsed.share)
    say(f"{parsed.train}: {kept} clips; {parsed.held_out}: {held_out} clips")


def _train(parsed: argparse.Namespace) -> None:
    with joined(choose_device(parsed.device)) as (workers, device):
        _train_among(parsed, workers, device)


def _train_among(parsed: argparse.Namespace, workers: Workers, device: str) -> None:
    recipe = load_recipe(parsed.recipe)
    make = _target_task if recipe.kind == "target" else _sot_task
    model, data = make(parsed, recipe, device)
    if parsed.held_out:
        check_disjoint(_speakers(parsed.data), _speakers(parsed.held_out))
    trainer = Trainer(model, data, recipe, parsed.out, workers)
    resumed = trainer.resume()
    if workers.first:
        count = len(data.train.windows)
        say(f"{count} examples, {'going on from' if resumed else 'from'} step {trainer.step} on {device}")
    trainer.run(say, parsed.until)
    if workers.first:
        plot_curves(parsed.out)


def _sot_task(parsed: argparse.Namespace, recipe: Recipe, device: str) -> tuple[SotModel, Data]:
    llm = load_named_llm(recipe.models.llm, parsed.weights_dir, device, parsed.precision)
    model = make_model(llm, recipe, encoder_width(parsed.data), parsed.start_from)
    train = load_examples(parsed.data, model, llm, recipe.train.seed, run_windows(parsed.out))
    return model, Data(train, load_examples(parsed.held_out, model, llm, 0) if parsed.held_out else None)


def _target_task(parsed: argparse.Namespace, recipe: Recipe, device: str) -> tuple[TargetModel, Data]:
    model, tokens = make_target_model(recipe, parsed.weights_dir, device, parsed.precision, parsed.start_from)
    train = load_target_examples(parsed.data, model, tokens, recipe.train.seed, run_windows(parsed.out))
    return model, Data(train, load_target_examples(parsed.held_out, model, tokens, 0) if parsed.held_out else None)


def _export(parsed: argparse.Namespace) -> None:
    recipe, device = load_recipe(parsed.recipe), choose_device(parsed.device)
    path, step = run_weights(parsed.folder, parsed.last)
    if recipe.kind == "target":
        target, _ = make_target_model(recipe, parsed.weights_dir, device)
        _fill(target, path)
        config = target_config(recipe, target.whisper.config.encoder_layers, target.whisper.config.d_model)
        target_checkpoint.save(parsed.out, config, target.maps, adapters_of(target.whisper))
    else:
        llm = load_named_llm(recipe.models.llm, parsed.weights_dir, device)
        model = make_model(llm, recipe, encoder_width(parsed.data))
        _fill(model, path)
        save_checkpoint(parsed.out, model, adapters_of(model.llm))
    size_mb = sum(item.stat().st_size for item in parsed.out.iterdir()) / 1e6
    say(f"{parsed.out}: step {step}, {size_mb:.1f} MB")


def _fill(model: SotModel | TargetModel, path: Path) -> None:
    trainable = {name: value for name, value in model.named_parameters() if value.requires_grad}
    load_weights(trainable, load_state(path)["weights"], str(path))


def _evaluate(parsed: argparse.Namespace) -> None:
    device = choose_device(parsed.device)
    llm = load_named_llm(read_config(parsed.checkpoint).llm, parsed.weights_dir, device)
    model = load_checkpoint(parsed.checkpoint, llm.model)
    examples = load_examples(parsed.data, model, llm, 0)
    if parsed.limit:
        examples.windows = examples.windows[: parsed.limit]
    evaluator = Evaluator(model, examples, plain_decode(llm.tokenizer), parsed.batch, parsed.trust)
    table = render(evaluator.run(parsed.system or [FIRST_PASS, WHOLE, NO_TEXT, NO_SOUND, FREE], say))
    say(table)
    if parsed.out:
        parsed.out.write_text(table, encoding="utf-8")
    shown = examples.windows[: parsed.show]
    for window, texts in zip(shown, evaluator.texts(shown, WHOLE) if shown else [], strict=True):
        for turn, text in zip(window.turns, texts, strict=True):
            say(f"{turn.overlap:.2f}\n  said   {turn.text!r}\n  first  {turn.first_pass!r}\n  sot    {text!r}")


def _cost(parsed: argparse.Namespace) -> None:
    device = choose_device(parsed.device)
    use_threads(parsed.threads)
    settings = DecoderSettings(
        load_registry(),
        parsed.weights_dir,
        device,
        choose_dtype(parsed.dtype, device),
        parsed.int8,
        checkpoint=parsed.checkpoint,
    )
    group = load_recipe(parsed.recipe).prepare.groups[0]
    manifest, table = load_manifest(parsed.manifest), load_table(DEFAULT_TABLE)
    windows = [make_window(group, manifest, table, 5, index) for index in range(parsed.windows)]
    say(render_cost(CostMeter(load_sot(settings)).run(windows), device))


def _speakers(folder: Path) -> list[str]:
    return [name for window in read_windows(folder) for name in window.speakers if not name.startswith(NOBODY)]
