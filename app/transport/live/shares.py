"""`/v1/live/{session}/shares`: links for viewers. `default` is the link that the session's `ready` told its owner."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Response

from app.transport.access import schemas
from app.transport.access.routes import AccessDep, IdentityDep
from app.transport.live.endpoint import LiveDep
from app.transport.live.store import Record
from app.transport.problems import HttpProblem

router = APIRouter(prefix="/v1/live", tags=["live"])
DEFAULT = "default"


async def own_session(session: str, live: LiveDep, who: IdentityDep) -> Record:
    """The session of a path, of the tenant who asks. Raises HttpProblem 404."""
    record = await live.hub.store.find(session) if session.isascii() and session.isprintable() else None
    if record is None or record.tenant != who.tenant:
        raise HttpProblem(HTTPStatus.NOT_FOUND, "session_unknown", "there is no such session", "session")
    return record


OwnDep = Annotated[Record, Depends(own_session)]


@router.post("/{session}/shares", status_code=201)
async def create_share(
    record: OwnDep, body: schemas.NewShareBody, who: IdentityDep, access: AccessDep, response: Response
) -> schemas.ShareBody:
    """A new link. The answer has its secret in `share`, this once."""
    secret, share = await asyncio.to_thread(access.shares.create, record.id, body.ttl_s or access.rules.share_ttl_s)
    await asyncio.to_thread(access.audit.record, who.key_id, who.tenant, "share.create", f"{record.id}/{share.id}")
    response.headers["Location"] = f"/v1/live/{record.id}/shares/{share.id}"
    return schemas.share_body(share, secret)


@router.get("/{session}/shares")
async def list_shares(record: OwnDep, access: AccessDep) -> schemas.ShareList:
    """All links of the session."""
    first = schemas.ShareBody(id=DEFAULT, created_at=None, expires_at=record.share_until_s, revoked_at=None)
    made = await asyncio.to_thread(access.shares.list, record.id)
    return schemas.ShareList(data=[*(schemas.share_body(share) for share in made), first])


@router.delete("/{session}/shares/{share_id}", status_code=204)
async def revoke_share(record: OwnDep, share_id: str, live: LiveDep, access: AccessDep) -> None:
    """It opens nothing any more; who reads along with it is sent away within seconds."""
    if share_id == DEFAULT:
        await live.hub.store.end_share(record.id)
        return
    known = share_id if share_id.isascii() and share_id.isprintable() else ""
    await asyncio.to_thread(access.shares.revoke, record.id, known)
