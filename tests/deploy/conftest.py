"""A PostgreSQL for the deployment's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.jobs.postgres import Postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all of them."""
    server = Postgres()
    yield server
    server.close()
