"""One server for the tests that only need one that works."""

from __future__ import annotations

import pytest

from tests.engine.fake_worker import fake_engine
from tests.transport.server import client, serving, settings


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    import asyncio

    engine = fake_engine()
    with serving(engine, settings(tmp_path_factory.mktemp("server"))) as base:
        yield base
    asyncio.run(engine.aclose())


@pytest.fixture
def openai_client(url):
    with client(url) as it:
        yield it
