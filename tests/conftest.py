"""What tests of several folders share."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.jobs.postgres import Postgres

# How long an example takes depends on what else the machine does, and says nothing of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def postgres():
    """One PostgreSQL for the whole run, started by the first test that needs it."""
    server = Postgres()
    yield server
    server.close()
