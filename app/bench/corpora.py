"""A folder of meetings with known answers -> BenchItems. The first step of the benchmark.

Layout: beside each audio file `NAME.wav` (or flac, ogg, ...) lie `NAME.rttm` (who speaks when) and/or one of
`NAME.seglst.json`, `NAME.json`, `NAME.stm` (the words). Where there is no RTTM, turns are those of the utterances.
Each sub-folder is a group of its own, named by its path; so is the folder itself. This is also what
`models.training.simulate` writes. Other files are left alone, but a reference without its audio is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from app.bench.references import WORD_READERS, CorpusInvalid, read_rttm
from app.bench.speech import Speech, of_utterances

AUDIO_ENDINGS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".webm", ".mkv"})
_NAMED_REFERENCES = (".rttm", ".seglst.json", ".stm")
"""Endings which only a reference has; a `.json` without audio may be anything."""


@dataclass(frozen=True, slots=True)
class BenchItem:
    """One meeting: `session` is its name, `group` the sub-folder it lies in."""

    session: str
    group: str
    audio: Path
    reference: Speech


def find_items(folder: Path) -> list[BenchItem]:
    """All meetings under a folder, sorted by group and name; hidden files and folders are left out.

    Raises:
        CorpusInvalid: no folder, no audio in it, audio without a reference or the other way round, two files for one
            thing, or a reference that cannot be read. The message names the file.
    """
    if not folder.is_dir():
        raise CorpusInvalid(f"{folder} is no folder", param="data")
    items = [item for inner in _folders(folder) for item in _items_of(inner, folder)]
    if not items:
        endings = ", ".join(sorted(AUDIO_ENDINGS))
        raise CorpusInvalid(f"{folder} holds no audio ({endings})", param="data")
    return items


def _folders(folder: Path) -> Iterator[Path]:
    """The folder and all below it, in order of their paths."""
    yield folder
    inner = (path for path in folder.rglob("*") if path.is_dir())
    yield from sorted(path for path in inner if not _hidden(path.relative_to(folder)))


def _items_of(folder: Path, root: Path) -> list[BenchItem]:
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    audio: dict[str, Path] = {}
    for path in files:
        if path.suffix.lower() in AUDIO_ENDINGS:
            if path.stem in audio:
                raise CorpusInvalid(f"{audio[path.stem]} and {path} are two recordings of one name", param="data")
            audio[path.stem] = path
    for path in files:
        for ending in _NAMED_REFERENCES:
            if path.name.endswith(ending) and path.name.removesuffix(ending) not in audio:
                raise CorpusInvalid(f"{path} has no audio of its name beside it", param="data")
    group = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
    return [BenchItem(stem, group, path, read_reference(path)) for stem, path in sorted(audio.items())]


def read_reference(audio: Path) -> Speech:
    """The truth about one recording, from the files beside it. Raises CorpusInvalid."""
    stem = audio.stem
    rttm = audio.with_name(stem + ".rttm")
    words = [path for ending in WORD_READERS if (path := audio.with_name(stem + ending)).is_file()]
    if len(words) > 1:
        names = " and ".join(path.name for path in words)
        raise CorpusInvalid(f"{audio} has two references with words, {names}: keep one", param="data")
    if not words and not rttm.is_file():
        expected = ", ".join(stem + ending for ending in (".rttm", *WORD_READERS))
        raise CorpusInvalid(f"{audio} has no reference beside it: expected one of {expected}", param="data")
    if not words:
        return Speech(read_rttm(rttm, stem))
    reader = WORD_READERS[words[0].name.removeprefix(stem)]
    spoken = of_utterances(reader(words[0], stem))
    return Speech(read_rttm(rttm, stem), spoken.utterances) if rttm.is_file() else spoken


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
