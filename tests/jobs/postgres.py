"""A real PostgreSQL for the tests: made in a folder of its own, on a loopback port of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest

from tests.running import free_port

_PLACES = ("/usr/lib/postgresql/17/bin", "/usr/lib/postgresql/16/bin", "/usr/lib/postgresql/15/bin", "/usr/bin")
_USER = "postgres"
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 2 * 1024**3


def binaries() -> Path:
    """Where initdb and pg_ctl are; fails the test where PostgreSQL is not installed."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else [Path(place) for place in _PLACES]
    for place in places:
        if (place / "initdb").exists() and (place / "pg_ctl").exists():
            return place
    pytest.fail("these tests need PostgreSQL's server programs (Debian: apt-get install postgresql)")


def place() -> Path | None:
    """Where clusters lie: in memory where there is room, as a cluster is thousands of files; None = on the disk."""
    roomy = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES
    return _MEMORY if roomy else None


class Postgres:
    """One cluster; `database()` gives a fresh database each."""

    def __init__(self, fsync: bool = False) -> None:
        self._bin = binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="crosstalk-pg-", dir=place()))
        self._data = self._folder / "data"
        self._fsync = "on" if fsync else "off"
        self._made = 0
        self._port = free_port()
        if os.geteuid() == 0:
            shutil.chown(self._folder, _USER)
        self._run("initdb", "-D", str(self._data), "-A", "trust", "-U", _USER, "-E", "UTF8", "--no-sync")
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder} "
            f"-c fsync={self._fsync} -c max_connections=200 -c max_wal_size=128MB"
        )
        self._run("pg_ctl", "-D", str(self._data), "-o", options, "-l", str(self._folder / "log"), "-w", "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: `immediate` is a crash."""
        self._run("pg_ctl", "-D", str(self._data), "-m", mode, "-w", "stop")

    def database(self) -> str:
        """The URL of a new, empty database."""
        self._made += 1
        name = f"test{self._made}"
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self._url(name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected."""
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(f"drop database {url.rpartition('/')[2]} with (force)")

    def _url(self, name: str) -> str:
        return f"postgresql://{_USER}@127.0.0.1:{self._port}/{name}"

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._bin / program), *arguments]
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            command = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", *command]
        # Not a pipe: the server that pg_ctl starts would hold it open.
        with (self._folder / "said").open("w+b") as said:
            done = subprocess.run(command, cwd=self._folder, stdout=said, stderr=said, timeout=60, check=False)
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read().decode()}"
