"""Known speakers: a name and a voice vector each. Personal data: deletable, never part of a value that is logged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import sqlalchemy as sa

from app.core.types import FloatArray
from app.errors import SpeakerNotFound
from app.jobs import tables
from app.jobs.rows import new_id, read_cursor, write_cursor
from app.jobs.types import KnownSpeaker
from app.store import Database

_T = tables.speaker
_SHOWN = (_T.c.id, _T.c.tenant, _T.c.name, _T.c.created_at, _T.c.source_job)


class KnownSpeakers:
    """Voices of people, by tenant. A `tenant` that is given must be the speaker's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, tenant: str, name: str, voice: FloatArray, source_job: str | None = None) -> KnownSpeaker:
        """Keep a voice, (dim,) float32, L2-normalised."""
        with self._database.write() as connection:
            now = connection.execute(sa.select(self._database.now)).scalar_one()
            known = KnownSpeaker(new_id("spk"), tenant, name, now, source_job)
            values = {
                "id": known.id,
                "tenant": tenant,
                "name": name,
                "vector": dump_voice(voice),
                "source_job": source_job,
                "created_at": now,
            }
            connection.execute(sa.insert(_T).values(values))
        return known

    def get(self, speaker_id: str, tenant: str | None = None) -> KnownSpeaker:
        """Raises SpeakerNotFound."""
        with self._database.read() as connection:
            row = connection.execute(sa.select(*_SHOWN).where(*_mine(speaker_id, tenant))).mappings().one_or_none()
        if row is None:
            raise SpeakerNotFound(f"there is no known speaker {speaker_id}")
        return KnownSpeaker(**row)

    def list(
        self, tenant: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> tuple[tuple[KnownSpeaker, ...], str | None]:
        """A page, newest first, and the cursor of the next one. Raises OptionInvalid for a cursor that is none."""
        where = [] if tenant is None else [_T.c.tenant == tenant]
        if cursor is not None:
            where.append(sa.tuple_(_T.c.created_at, _T.c.id) < sa.tuple_(*map(sa.literal, read_cursor(cursor))))
        statement = sa.select(*_SHOWN).where(*where).order_by(_T.c.created_at.desc(), _T.c.id.desc()).limit(limit + 1)
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings().all()
        page = tuple(KnownSpeaker(**row) for row in rows[:limit])
        return page, write_cursor(page[-1].created_at, page[-1].id) if len(rows) > limit else None

    def rename(self, speaker_id: str, name: str, tenant: str | None = None) -> KnownSpeaker:
        """Raises SpeakerNotFound."""
        with self._database.write() as connection:
            connection.execute(sa.update(_T).where(*_mine(speaker_id, tenant)).values(name=name))
        return self.get(speaker_id, tenant)

    def delete(self, speaker_id: str, tenant: str | None = None) -> None:
        """Forget a voice. Raises SpeakerNotFound."""
        with self._database.write() as connection:
            if connection.execute(sa.delete(_T).where(*_mine(speaker_id, tenant))).rowcount == 0:
                raise SpeakerNotFound(f"there is no known speaker {speaker_id}")

    def voices(self, tenant: str, ids: Sequence[str] | None = None) -> tuple[tuple[KnownSpeaker, FloatArray], ...]:
        """Voices to compare with, in the order of their creation; ids: None = all of the tenant's.

        Raises SpeakerNotFound naming an id that is not there.
        """
        where = [_T.c.tenant == tenant, *([] if ids is None else [_T.c.id.in_(ids)])]
        statement = sa.select(*_SHOWN, _T.c.vector).where(*where).order_by(_T.c.created_at, _T.c.id)
        with self._database.read() as connection:
            rows = connection.execute(statement).mappings().all()
        missing = set(ids or ()) - {row["id"] for row in rows}
        if missing:
            raise SpeakerNotFound(f"there is no known speaker {min(missing)}", param="known_speakers")
        return tuple((KnownSpeaker(**{c.name: row[c.name] for c in _SHOWN}), load_voice(row["vector"])) for row in rows)

    def of_transcript(self, job_id: str, speaker: int) -> FloatArray:
        """How a speaker of a finished transcript sounds: (dim,) float32. Raises SpeakerNotFound."""
        voice = tables.voice
        with self._database.read() as connection:
            vector = connection.execute(
                sa.select(voice.c.vector).where(voice.c.job_id == job_id, voice.c.speaker == speaker)
            ).scalar()
        if vector is None:
            raise SpeakerNotFound(f"recording {job_id} has no voice of speaker {speaker}", param="speaker")
        return load_voice(vector)


def dump_voice(voice: FloatArray) -> bytes:
    """A voice vector as the tables keep it."""
    return voice.astype("<f4").tobytes()


def load_voice(data: bytes) -> FloatArray:
    """Inverse of `dump_voice`."""
    return np.frombuffer(data, "<f4").astype(np.float32)


def _mine(speaker_id: str, tenant: str | None) -> list[sa.ColumnElement[bool]]:
    return [_T.c.id == speaker_id, *([] if tenant is None else [_T.c.tenant == tenant])]
