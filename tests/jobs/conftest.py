"""Stores on both databases."""

from __future__ import annotations

import pytest

from tests.jobs.harness import Site


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    """A database's URL, empty."""
    if request.param == "postgres":
        return request.getfixturevalue("postgres").database()
    return f"sqlite:///{tmp_path / 'store.sqlite'}"


@pytest.fixture
def site(url, tmp_path):
    """A store over it, with the `sql` engine."""
    it = Site(url, tmp_path)
    yield it
    it.close()
