"""What a process gives up before it looks at a stranger's bytes. It cannot be taken back.

Everywhere: memory, processor time, files that can be written (none), files that can be opened beyond those it has
(a few), processes and threads. On Linux on x86-64, besides, a list of system calls (seccomp, seccomp(2)): it can use
the pipes and the file that it was given, and memory; it cannot open, connect, start, signal or trace anything. Whatever
is not on the list fails as if forbidden.
"""

from __future__ import annotations

import ctypes
import platform
import resource
import struct
import sys

from app.audio.limits import ProcessLimits

_CALLS = {
    "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
    "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "sched_yield": 24,
    "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60, "getrusage": 98, "sigaltstack": 131,
    "gettid": 186, "futex": 202, "sched_getaffinity": 204, "clock_gettime": 228, "clock_nanosleep": 230,
    "exit_group": 231, "getrandom": 318, "rseq": 334,
}  # fmt: skip
"""Numbers on x86-64: what an interpreter at work needs."""
_ARCH = 0xC000_003E
_SET_NO_NEW_PRIVS, _SET_SECCOMP, _FILTER_MODE = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_KILL, _ALLOW, _FORBID = 0x8000_0000, 0x7FFF_0000, 0x0005_0001
"""Of _FORBID the lower half is EPERM."""
_SPARE_FILES = 16


def confine(limits: ProcessLimits) -> None:
    """For this process, from now on. Raises OSError where the system refuses."""
    if sys.platform == "linux":
        # Where memory runs out all the same, this process is ended first.
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    for kind, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _SPARE_FILES),
        (resource.RLIMIT_NPROC, 0),
    ):
        _lower(kind, most, most)
    _lower(resource.RLIMIT_CPU, limits.cpu_s, limits.cpu_s + 1)
    if filters_calls():
        _filter_calls()


def filters_calls() -> bool:
    """Whether this is a system whose calls can be listed."""
    return sys.platform == "linux" and platform.machine() == "x86_64" and struct.calcsize("P") == 8


def _lower(kind: int, soft: int, hard: int) -> None:
    """Never above what the process was started with."""
    most = resource.getrlimit(kind)[1]
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(kind, (soft, hard))


def _filter_calls() -> None:
    calls = sorted(_CALLS.values())
    program = [
        (_LOAD, 0, 0, 4),
        (_JUMP_IF_EQUAL, 1, 0, _ARCH),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
        *((_JUMP_IF_EQUAL, len(calls) - index, 0, call) for index, call in enumerate(calls)),
        (_RETURN, 0, 0, _FORBID),
        (_RETURN, 0, 0, _ALLOW),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in program))
    described = ctypes.create_string_buffer(struct.pack("HP", len(program), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_ulong
    for option, value, pointer in (
        (_SET_NO_NEW_PRIVS, 1, number(0)),
        (_SET_SECCOMP, _FILTER_MODE, number(ctypes.addressof(described))),
    ):
        if libc.prctl(ctypes.c_int(option), number(value), pointer, number(0), number(0)):
            raise OSError(ctypes.get_errno(), "the system calls cannot be limited")
