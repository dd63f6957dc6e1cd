"""What tests of several folders share."""

from __future__ import annotations

import pytest

from tests.jobs.postgres import Postgres


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL for the whole run, started by the first test that needs it."""
    server = Postgres()
    yield server
    server.close()
