"""Stores on both databases."""

from __future__ import annotations

import pytest

from tests.jobs.harness import Site


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """A database's URL, empty."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'store.sqlite'}"
        return
    server = request.getfixturevalue("postgres")
    made = server.database()
    yield made
    server.drop(made)


@pytest.fixture
def site(url, tmp_path):
    """A store over it, with the `sql` engine."""
    it = Site(url, tmp_path)
    yield it
    it.close()
