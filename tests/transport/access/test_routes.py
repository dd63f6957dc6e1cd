"""Routes x roles: over a real server, every route of the app with every kind of key, and what each must answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from app.access import Access, AccessRules, NewKey, Scope
from app.main import create_app
from app.settings import AccessGroup, Settings
from app.store import open_database
from app.transport.access.needs import NEEDS, SOCKET
from app.wiring import store_url
from tests.engine.fake_worker import fake_engine
from tests.transport.server import serving

IDS = {
    "recording_id": "rec_" + "0" * 32,
    "upload_id": "upl_" + "0" * 32,
    "speaker_id": "spk_" + "0" * 32,
    "session": "0123456789abcdef",
    "share_id": "shr_0123456789abcdef",
    "key_id": "0123456789abcdef",
    "name": "whisper-1",
    "name:path": "favicon.svg",
}
ROUTES = [(path, method) for path, needs in NEEDS.items() for method in needs]


@dataclass
class World:
    """A server that needs keys, and a key of every kind. roles: name -> what is shown."""

    url: str
    access: Access
    http: httpx2.Client
    roles: dict[str, str]


def keyed(folder) -> Settings:
    """Settings of a server that needs keys."""
    return Settings(data_dir=folder / "data", access=AccessGroup(required=True, cache_s=0.0, recheck_s=0.1))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    chosen, engine = keyed(tmp_path_factory.mktemp("access")), fake_engine()
    with serving(engine, chosen) as url:
        database = open_database(store_url(chosen))
        access = Access(database, AccessRules())
        made = {scope.value: access.keys.create(NewKey(scope, "one", frozenset({scope}))) for scope in Scope}
        roles = {name: text for name, (text, _) in made.items()}
        roles["all"], _ = access.keys.create(NewKey("all", "one", frozenset(Scope)))
        roles["other tenant"], _ = access.keys.create(NewKey("other", "two", frozenset(Scope)))
        roles["revoked"], gone = access.keys.create(NewKey("gone", "one", frozenset(Scope)))
        access.keys.revoke(gone.id)
        soon = time.time() + 0.05
        roles["expired"], _ = access.keys.create(NewKey("old", "one", frozenset(Scope), expires_at=soon))
        time.sleep(0.06)
        last = roles["all"][-1]
        roles["wrong"] = roles["all"][:-1] + ("A" if last != "A" else "B")
        roles["no key of ours"] = "sk-1234"
        used, _ = access.tokens.issue(made["live"][1].id, [Scope.LIVE], 60.0)
        roles["token that expired"], _ = access.tokens.issue(made["live"][1].id, [Scope.LIVE], -1.0)
        roles["token of a path"], _ = access.tokens.issue(made["read"][1].id, [Scope.READ], 60.0, "/elsewhere")
        httpx2.post(f"{url}/v1/recordings", headers=bearer(used))
        roles["token that was used"] = used
        with httpx2.Client(timeout=30) as http:
            yield World(url, access, http, roles)
        database.close()
    asyncio.run(engine.aclose())


INVALID = (
    "revoked",
    "expired",
    "wrong",
    "no key of ours",
    "token that expired",
    "token of a path",
    "token that was used",
)


def bearer(key):
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def asked(world, path, method, key):
    """The status of a request or of a handshake (101: it opened)."""
    for name, value in IDS.items():
        path = path.replace(f"{{{name}}}", value)
    if method != SOCKET:
        with world.http.stream(method, world.url + path, headers=bearer(key)) as answer:
            return answer.status_code
    try:
        with connect(world.url.replace("http", "ws") + path, additional_headers=bearer(key)):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def routes_of(routes):
    """(path, methods) of every route of an app, of included routers too."""
    for route in routes:
        inner = getattr(route, "effective_candidates", None)
        if inner is not None:
            yield from routes_of(inner())
            continue
        route = getattr(route, "starlette_route", None) or getattr(route, "original_route", route)
        yield route.path, set(getattr(route, "methods", None) or {SOCKET}) - {"HEAD"}


def test_every_route_of_the_app_has_an_entry_and_every_entry_a_route(tmp_path):
    found: dict[str, set[str]] = {}
    for path, methods in routes_of(create_app(Settings(data_dir=tmp_path)).routes):
        path = "/static/{name:path}" if path.startswith("/static/") else path
        found.setdefault(path, set()).update(methods)
    assert found == {path: set(needs) for path, needs in NEEDS.items()}


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_without_a_good_key_only_what_is_public_opens(world, path, method):
    need = NEEDS[path][method]
    for key in (None, *(world.roles[name] for name in INVALID)):
        status = asked(world, path, method, key)
        if need.public:
            assert status != 401
        else:
            assert status == 401, (path, method, key)


@pytest.mark.parametrize(("path", "method"), ROUTES)
def test_a_key_opens_what_its_scopes_say(world, path, method):
    need = NEEDS[path][method]
    for scope in Scope:
        status = asked(world, path, method, world.roles[scope.value])
        if need.public or need.scope in (None, scope):
            assert status not in (401, 403), (path, method, scope)
        else:
            assert status == 403, (path, method, scope)


def test_every_change_is_in_the_audit_log_or_notes_itself():
    own = {("/v1/keys", "POST"), ("/v1/live/{session}/shares", "POST"), ("/v1/tokens", "POST")}
    own |= {("/v1/audio/transcriptions", "POST"), ("/v1/uploads/{upload_id}", "PATCH")}
    changes = {(path, method) for path, method in ROUTES if method in ("POST", "PATCH", "PUT", "DELETE")}
    assert {it for it in changes if not NEEDS[it[0]][it[1]].audit} == own


def test_what_is_unknown_is_refused_too(world):
    for path, method in (("/v1/nothing", "GET"), ("/v1/nothing", SOCKET), ("/v1/models", "DELETE")):
        assert asked(world, path, method, None) == 401
    assert asked(world, "/v1/nothing", "GET", world.roles["all"]) == 404
    assert asked(world, "/v1/nothing", SOCKET, world.roles["all"]) == 404
    assert asked(world, "/v1/models", "DELETE", world.roles["all"]) == 405
    refused = world.http.put(f"{world.url}/v1/uploads/{IDS['upload_id']}", headers=bearer(world.roles["all"]))
    assert (refused.status_code, refused.headers["allow"]) == (405, "DELETE, GET, PATCH")
