"""Keys in the store: two who change one key at once. How they are used over HTTP is in tests/transport/access."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing

import pytest
import sqlalchemy as sa

from app.access import tables
from app.access.keys import Keys
from app.access.types import NewKey
from app.errors import OptionInvalid
from app.store import migrate, open_database


def test_a_key_that_is_being_revoked_is_not_rotated(postgres):
    with closing(open_database(postgres.database())) as database:
        migrate(database)
        keys = Keys(database)
        _, key = keys.create(NewKey("leaked"))
        with ThreadPoolExecutor(1) as other:
            with database.write() as connection:
                connection.execute(sa.update(tables.api_key).values(revoked_at=database.now))
                rotating = other.submit(keys.rotate, key.id, 60.0)
                wait([rotating], 0.5)
                assert not rotating.done()
            with pytest.raises(OptionInvalid):
                rotating.result(30)
        assert [it.id for it in keys.list()] == [key.id]
