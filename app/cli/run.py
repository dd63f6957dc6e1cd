"""Recordings -> transcripts, one after the other with one engine: what `crosstalk transcribe` does."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app.audio import MediaInfo, open_recording
from app.cli import output
from app.cli.failures import ExitCode, report
from app.cli.progress import Display
from app.cli.tools import EngineBuilder
from app.core.channels import merge_channels
from app.core.types import SpeakerCount, TranscriptView
from app.errors import CrosstalkError
from app.recordings import Workplace, transcribe_file
from app.session import SessionOptions
from app.settings import Settings
from app.wiring import audio_limits, work_dir


@dataclass(frozen=True, slots=True)
class Job:
    """What the command line asked for. output: a folder that exists, None = stdout."""

    files: tuple[Path, ...]
    formats: tuple[str, ...]
    output: Path | None
    options: SessionOptions
    channels_as_speakers: bool
    quiet: bool


async def run_jobs(job: Job, settings: Settings, build: EngineBuilder) -> ExitCode:
    """Transcribe every file; one that fails is reported and does not stop the others.

    Returns the status: of the failure when there was one file, FAILED when some of several failed. Raises SetupError
    when the engine cannot be built, ReaderGone.
    """
    runner = _Runner(job, settings)
    # Files that cannot be opened are found before the models are loaded, which takes seconds.
    opened = [(path, info) for path in job.files if (info := runner.look_at(path)) is not None]
    if opened:
        with Display(quiet=job.quiet) as display:
            display.loading()
            engine = await build(settings)
            place = Workplace(engine, audio_limits(settings), work_dir(settings))
            try:
                for path, info in opened:
                    await runner.run(path, info, place, display)
            finally:
                await engine.aclose()
    if not runner.failures:
        return ExitCode.OK
    return runner.failures[0] if len(job.files) == 1 else ExitCode.FAILED


class _Runner:
    """Works on one file after the other; collects the failures."""

    def __init__(self, job: Job, settings: Settings) -> None:
        self._job = job
        self._limits = audio_limits(settings)
        self._debug = settings.debug
        self.failures: list[ExitCode] = []

    def look_at(self, path: Path) -> MediaInfo | None:
        """What kind of media the file is; None, and reported, when it is none."""
        try:
            with open_recording(path, self._limits) as recording:
                return recording.info
        except CrosstalkError as error:
            self._fail(path, error)
            return None

    async def run(self, path: Path, info: MediaInfo, place: Workplace, display: Display) -> None:
        """One file, from its bytes to its transcripts."""
        began_s = time.monotonic()
        try:
            view = await self._transcribe(path, info, place, display)
            display.clear()
            self._write(path, view)
        except CrosstalkError as error:
            display.clear()
            self._fail(path, error)
        else:
            display.finished(str(path), view, time.monotonic() - began_s)

    async def _transcribe(self, path: Path, info: MediaInfo, place: Workplace, display: Display) -> TranscriptView:
        work = partial(transcribe_file, place, path)
        if not self._job.channels_as_speakers:
            display.begin(path.name, info.duration_s)
            return await work(self._job.options, display.update)
        options = replace(self._job.options, speakers=SpeakerCount(exact=1))
        views = []
        for channel in range(info.channels):
            display.begin(f"{path.name} (channel {channel + 1} of {info.channels})", info.duration_s)
            views.append(await work(options, display.update, channel))
        return merge_channels(views)

    def _write(self, path: Path, view: TranscriptView) -> None:
        for name in self._job.formats:
            text = output.render(view, name, path)
            if self._job.output is not None:
                output.write_file(output.target(self._job.output, path, name), text)
            elif len(self._job.files) > 1:
                output.write_stdout(f"==> {path} <==\n{text}\n")
            else:
                output.write_stdout(text)

    def _fail(self, path: Path, error: CrosstalkError) -> None:
        self.failures.append(report(error, about=str(path), debug=self._debug))
