"""`python fake_server.py PORT DATA_DIR`: a real server process over the fake engine."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvicorn

from app.main import create_app
from app.transport.server import DrainingServer, socket_options
from tests.engine.fake_worker import fake_engine
from tests.transport.server import settings


async def main(port: int, folder: Path) -> None:
    app = create_app(settings(folder), fake_engine(), close_engine=True)
    config = uvicorn.Config(app, port=port, log_level="warning", lifespan="on", **socket_options(1 << 20))
    await DrainingServer(config, app).serve()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
