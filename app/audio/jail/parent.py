"""The server's side of a process that decodes: starting it, talking to it with a clock, ending it.

Whatever the process does, the server sees a message, or an error of app/errors.py that says the media are at fault.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from app.audio.jail import wire
from app.audio.jail.wire import Kind, Malformed, Task
from app.errors import AudioUnreadable, CrosstalkError, Overloaded

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[3]
_BOOT = f"import sys; sys.path.insert(0, {str(_ROOT)!r}); from app.audio.jail.child import main; main()"
"""Isolated (-I) and by its place: neither the environment nor the current folder say which code runs."""
_START_S = 60.0
"""Longest time until it has loaded everything: a fraction of a second, but on a machine that has too much to do."""
_KEPT = ("LD_LIBRARY_PATH", "SYSTEMROOT")
"""Without these some interpreters do not start; nothing else of the environment is passed on."""


class DecoderProcess:
    """One process at one task. One thread at a time, but for `kill`."""

    def __init__(self, task: Task) -> None:
        """Starts it, and waits until it is ready. A file of the task stays the caller's to close.

        Raises Overloaded when no process can be started.
        """
        self._stall_s = _START_S
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, wire.dump_task(task)],
                stdin=subprocess.PIPE if task.file is None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                pass_fds=() if task.file is None else (task.file,),
                cwd="/",
                env=environment | {"LC_ALL": "C.UTF-8", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
                start_new_session=True,
            )
        except OSError as error:
            raise Overloaded(f"no process for decoding can be started: {error.strerror}") from error
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._in = -1 if self._process.stdin is None else self._process.stdin.fileno()
        os.set_blocking(self._out, False)
        if self._in >= 0:
            os.set_blocking(self._in, False)
        with ExitStack() as unless_done:
            unless_done.callback(self.close)
            try:
                kind, _ = self.receive()
            except AudioUnreadable as error:
                # It has not seen a byte of the media yet.
                raise Overloaded("the process for decoding does not start; has it too little memory?") from error
            assert kind is Kind.READY
            unless_done.pop_all()
        self._stall_s = task.process.stall_s

    def receive(self) -> tuple[Kind, bytes]:
        """The next message; of FAILED the error is raised. Raises CrosstalkError; afterwards the process is ended."""
        try:
            kind, size = wire.load_head(self._read(wire.HEAD_BYTES))
            content = self._read(size)
            if kind is Kind.FAILED:
                raise wire.load_error(content)
        except Malformed as error:
            self.close()
            raise AudioUnreadable("the decoder gave what is no sound") from error
        except CrosstalkError:
            self.close()
            raise
        if kind is Kind.BROKEN:
            self.close()
            _log.warning("a file broke its decoder: %s", content.decode(errors="replace"))
            raise AudioUnreadable("the decoder failed on it")
        return kind, content

    def malformed(self, error: Malformed) -> AudioUnreadable:
        """End it for what it has sent; the error to raise."""
        self.close()
        _log.warning("a decoder sent what it should not: %r", error.__cause__)
        return AudioUnreadable("the decoder gave what is no sound")

    def send(self, data: bytes) -> None:
        """A piece of a container; empty: the end. Raises AudioUnreadable."""
        rest = memoryview(wire.head(Kind.PIECE, len(data)) + data)
        end_s = time.monotonic() + self._stall_s
        while rest:
            self._wait(self._in, select.POLLOUT, end_s)
            try:
                rest = rest[os.write(self._in, rest) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._ended() from error

    def kill(self) -> None:
        """From any thread: what waits for it comes back."""
        self._process.kill()

    def close(self) -> None:
        """End it and forget it. Idempotent."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()

    def _read(self, size: int) -> bytes:
        data = bytearray()
        end_s = time.monotonic() + self._stall_s
        while len(data) < size:
            self._wait(self._out, select.POLLIN, end_s)
            try:
                more = os.read(self._out, size - len(data))
            except BlockingIOError:
                continue
            if not more:
                raise self._ended()
            data += more
        return bytes(data)

    def _wait(self, fd: int, event: int, end_s: float) -> None:
        """Until the pipe is ready. Raises AudioUnreadable when that takes too long."""
        if self._process.stdout is None or self._process.stdout.closed:
            raise AudioUnreadable("its decoder was ended")
        poll = select.poll()
        poll.register(fd, event)
        if not poll.poll(max(0.0, end_s - time.monotonic()) * 1000):
            self.close()
            raise AudioUnreadable(f"reading it takes too long: no sound came for {self._stall_s:g} s")

    def _ended(self) -> AudioUnreadable:
        """It went without a word; why."""
        self.close()
        status = self._process.returncode
        if status == -signal.SIGXCPU:
            return AudioUnreadable("reading it takes more processor time than it may")
        _log.warning("a decoder ended with status %d", status)
        return AudioUnreadable("the decoder failed on it")
