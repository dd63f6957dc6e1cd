"""`/v1/keys`, `/v1/tokens` and `/v1/audit`.

An admin key of the operator's tenant '' has to do with the keys of all tenants, one of another only with its own.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.requests import HTTPConnection

from app.access import Access, Identity
from app.access.types import Scope
from app.errors import ScopeMissing
from app.transport.access import schemas
from app.transport.access.guard import access_of, identity_of
from app.transport.problems import HttpProblem

router = APIRouter(prefix="/v1", tags=["access"])


def get_access(connection: HTTPConnection) -> Access:
    """The server's keys, tokens, links and logs."""
    return access_of(connection)


def get_identity(connection: HTTPConnection) -> Identity:
    """Who asks."""
    return identity_of(connection)


AccessDep = Annotated[Access, Depends(get_access)]
IdentityDep = Annotated[Identity, Depends(get_identity)]


def get_admin(who: IdentityDep) -> Identity:
    """Who asks, with a key that manages keys. Raises HttpProblem where access is open: everybody would be admin."""
    if not who.key_id:
        message = "keys are managed over HTTP only where they are required (CROSSTALK_ACCESS__REQUIRED)"
        raise HttpProblem(HTTPStatus.FORBIDDEN, "access_open", message)
    return who


AdminDep = Annotated[Identity, Depends(get_admin)]


@router.post("/keys", status_code=201)
def create_key(body: schemas.NewKeyBody, who: AdminDep, access: AccessDep, response: Response) -> schemas.KeyBody:
    """Make an API key. The answer has it in `key`, this once."""
    tenant = who.tenant if body.tenant is None else body.tenant
    if tenant != who.tenant and not who.operator:
        raise ScopeMissing("this key manages the keys of its own tenant alone")
    secret, key = access.keys.create(schemas.new_key(body, tenant))
    access.audit.record(who.key_id, tenant, "key.create", key.id)
    response.headers["Location"] = f"/v1/keys/{key.id}"
    return schemas.key_body(key, secret)


@router.get("/keys")
def list_keys(who: AdminDep, access: AccessDep) -> schemas.KeyList:
    """All keys, newest first, revoked ones too."""
    return schemas.KeyList(data=[schemas.key_body(key) for key in access.keys.list(_tenant(who))])


@router.get("/keys/{key_id}")
def get_key(key_id: str, who: AdminDep, access: AccessDep) -> schemas.KeyBody:
    """One key."""
    return schemas.key_body(access.keys.get(_plain(key_id), _tenant(who)))


@router.post("/keys/{key_id}/rotate", status_code=201)
async def rotate_key(key_id: str, body: schemas.RotateBody, who: AdminDep, access: AccessDep) -> schemas.KeyBody:
    """A new key in its place; the old one works for `overlap_s` more."""
    secret, key = await asyncio.to_thread(access.keys.rotate, _plain(key_id), body.overlap_s, _tenant(who))
    access.forget(key_id)
    return schemas.key_body(key, secret)


@router.delete("/keys/{key_id}")
async def revoke_key(key_id: str, who: AdminDep, access: AccessDep) -> schemas.KeyBody:
    """It opens nothing any more."""
    key = await asyncio.to_thread(access.keys.revoke, _plain(key_id), _tenant(who))
    access.forget(key_id)
    return schemas.key_body(key)


@router.post("/tokens", status_code=201)
def create_token(body: schemas.NewTokenBody, who: IdentityDep, access: AccessDep) -> schemas.TokenBody:
    """A token for where a browser cannot send a header: once, or for one path."""
    if not who.key_id:
        raise HttpProblem(HTTPStatus.CONFLICT, "access_open", "this server asks for no keys, so it has no tokens")
    if who.limited:
        raise ScopeMissing("a token cannot be exchanged for another: show the key")
    scopes = frozenset(Scope(name) for name in body.scopes)
    for scope in scopes:
        who.need(scope)
    if body.path is not None and scopes != {Scope.READ}:
        raise ScopeMissing("a token for a path can only read")
    token, expires_at = access.tokens.issue(who.key_id, scopes, body.ttl_s or access.rules.token_ttl_s, body.path)
    return schemas.TokenBody(token=token, expires_at=expires_at)


@router.get("/audit")
def list_audit(
    who: AdminDep,
    access: AccessDep,
    before: Annotated[int | None, Query(ge=1, le=1 << 53)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> schemas.AuditPage:
    """Who did what, newest first."""
    return schemas.audit_page(access.audit.list(_tenant(who), before, limit), limit)


def _tenant(who: Identity) -> str | None:
    return None if who.operator else who.tenant


def _plain(key_id: str) -> str:
    """What a database may be asked for."""
    return key_id if key_id.isascii() and key_id.isprintable() else ""
