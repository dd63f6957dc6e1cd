"""Command line of the simulator: `python -m models.training.simulate make|fit|plot|check-disjoint`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from models.training.simulate.clips import check_disjoint, load_manifest
from models.training.simulate.errors import ManifestInvalid, SimulationError
from models.training.simulate.fit import fit_files, render_table
from models.training.simulate.make import Job, Record, make_set
from models.training.simulate.settings import Settings, load_settings, settings_from
from models.training.simulate.timing import DEFAULT_TABLE, load_table
from models.training.simulate.writer import write_text


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command. Returns the exit status: 0, or 1 with the error's code and message on stderr."""
    parsed = _parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except SimulationError as error:
        _say(f"error [{error.code}]: {error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models.training.simulate", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_make(commands)
    fit = commands.add_parser("fit", help="fit a timing table to real conversations")
    fit.add_argument("--rttm", type=Path, nargs="+", required=True, help="RTTM files, or SegLST .json files")
    fit.add_argument("--out", type=Path, required=True, help="the table to write (.toml)")
    fit.add_argument("--description", default="", help="where the conversations come from")
    short = "share (0-0.95) of a speaker's pauses to add, for references that join speech across pauses below a second"
    fit.add_argument("--add-short-pauses", type=float, default=0.0, metavar="SHARE", help=short)
    fit.set_defaults(run=_fit)
    plot = commands.add_parser("plot", help="draw gaps and overlaps of simulated meetings beside the table's")
    plot.add_argument("--rttm", type=Path, nargs="+", required=True, help="RTTM or SegLST files of simulated meetings")
    plot.add_argument("--beside", type=Path, nargs="*", default=[], help="RTTM or SegLST files of real conversations")
    plot.add_argument("--timing-table", type=Path, default=DEFAULT_TABLE)
    plot.add_argument("--out", type=Path, required=True, help="the picture to write (.png)")
    plot.set_defaults(run=_plot)
    check = commands.add_parser("check-disjoint", help="refuse speakers that are in both lists")
    for name in ("--train", "--dev"):
        check.add_argument(name, type=Path, nargs="+", required=True, help="manifest.jsonl or set.json files")
    check.set_defaults(run=_check_disjoint)
    return parser


def _add_make(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    make = commands.add_parser("make", help="make a set of meetings")
    make.add_argument("--manifest", type=Path, required=True, help="manifest.jsonl of single-speaker clips")
    make.add_argument("--out", type=Path, required=True, help="folder for the set")
    make.add_argument("--settings", type=Path, help="TOML file with settings; options given here win over it")
    make.add_argument("--timing-table", type=Path, default=DEFAULT_TABLE)
    make.add_argument("--jobs", type=int, default=1, help="processes; any number gives the same files")
    kinds = {"int": int, "float": float, "str": str}
    for field in dataclasses.fields(Settings):
        option = "--" + field.name.replace("_", "-")
        if field.type == "bool":
            make.add_argument(option, action="store_true", default=None)
        else:
            make.add_argument(option, type=kinds[str(field.type)], help=f"default: {field.default}")
    make.set_defaults(run=_make)


def _make(parsed: argparse.Namespace) -> None:
    values = load_settings(parsed.settings) if parsed.settings else {}
    names = [field.name for field in dataclasses.fields(Settings)]
    values |= {name: getattr(parsed, name) for name in names if getattr(parsed, name) is not None}
    job = Job(load_manifest(parsed.manifest), load_table(parsed.timing_table), settings_from(values), parsed.out)

    def progress(record: Record) -> None:
        overlap = f"overlap {record['overlap_share']:.3f} (target {record['overlap_target']})"
        said = (
            f"{len(record['speakers'])} speakers, {record['utterances']} utterances, {record['speech_s']:.1f} s speech"
        )
        _say(f"{record['session_id']}: {said}, {overlap}")

    result = make_set(job, parsed.jobs, progress)
    _say(f"{len(result['meetings'])} meetings in {parsed.out}: overlap {result['overlap_share']:.3f}")


def _fit(parsed: argparse.Namespace) -> None:
    fitted, sources = fit_files(parsed.rttm, parsed.add_short_pauses)
    write_text(parsed.out, render_table(fitted, sources, parsed.description))
    _say(f"{parsed.out}: " + ", ".join(f"{gap.count} {kind.value}" for kind, gap in fitted.gaps.items()))


def _plot(parsed: argparse.Namespace) -> None:
    from models.training.simulate.plot import (
        plot_files,
    )  # only here: matplotlib is slow to import and not needed to make

    plot_files(parsed.rttm, parsed.beside, load_table(parsed.timing_table), parsed.out)
    _say(f"{parsed.out} written")


def _check_disjoint(parsed: argparse.Namespace) -> None:
    train = [speaker for path in parsed.train for speaker in _speakers(path)]
    dev = [speaker for path in parsed.dev for speaker in _speakers(path)]
    check_disjoint(train, dev)
    _say(f"disjoint: {len(set(train))} training and {len(set(dev))} development speakers")


def _speakers(path: Path) -> list[str]:
    if path.suffix == ".jsonl":
        return list(load_manifest(path).by_speaker())
    try:
        return [str(name) for name in json.loads(path.read_text(encoding="utf-8"))["speakers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ManifestInvalid(f"{path} is not a set.json with its speakers ({error!r})") from error


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
