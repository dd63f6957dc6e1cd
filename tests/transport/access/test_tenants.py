"""Two tenants on one server: what is one's is not there for the other. Tokens, links, limits, the admin API."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from dataclasses import dataclass

import httpx2
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from app.access import Access, AccessRules, KeyLimits, NewKey, Scope
from app.store import open_database
from app.wiring import store_url
from tests.engine.fake_worker import fake_engine
from tests.transport.access.test_routes import bearer, keyed
from tests.transport.live.talk import SOUND, START
from tests.transport.server import TEXT, client, serving, wait_until, wav

PIECE = 8_000


@dataclass
class World:
    """one, two: clients of two tenants, all scopes; admin: of the operator."""

    url: str
    access: Access
    one: httpx2.Client
    two: httpx2.Client
    admin: httpx2.Client

    @property
    def ws(self) -> str:
        return self.url.replace("http", "ws")

    def key(self, http):
        return http.headers["authorization"].removeprefix("Bearer ")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    chosen, engine = keyed(tmp_path_factory.mktemp("tenants")), fake_engine()
    with serving(engine, chosen) as url:
        database = open_database(store_url(chosen))
        access = Access(database, AccessRules())
        texts = [access.keys.create(NewKey(name, name, frozenset(Scope)))[0] for name in ("one", "two")]
        texts.append(access.keys.create(NewKey("operator", "", frozenset({Scope.ADMIN})))[0])
        clients = [httpx2.Client(base_url=url, timeout=30, headers=bearer(text)) for text in texts]
        yield World(url, access, *clients)
        for it in clients:
            it.close()
        database.close()
    asyncio.run(engine.aclose())


def token(http, *scopes, **more):
    made = http.post("/v1/tokens", json={"scopes": list(scopes), **more})
    assert made.status_code == 201, made.text
    return made.json()["token"]


def held(socket):
    """A session on an open socket: its `ready`."""
    socket.send(json.dumps(START))
    while (event := json.loads(socket.recv(20)))["type"] != "ready":
        continue
    return event


def talked(world, key):
    """A whole session of a key: its `ready`."""
    with connect(f"{world.ws}/v1/live", additional_headers=bearer(key)) as socket:
        ready = held(socket)
        for at in range(0, len(SOUND), PIECE):
            socket.send(SOUND[at : at + PIECE])
        socket.send('{"type": "stop"}')
        while json.loads(socket.recv(20))["type"] != "done":
            continue
    return ready


def refused(address, **headers):
    """The status that a handshake gets instead of a socket."""
    with pytest.raises(InvalidStatus) as caught, connect(address, **headers):
        pass
    return caught.value.response.status_code


def test_a_recording_and_all_of_it_is_there_for_its_tenant_alone(world):
    made = world.one.post("/v1/recordings", files={"file": ("m.wav", wav())}, headers={"Idempotency-Key": "same"})
    path = made.headers["location"]
    wait_until(lambda: world.one.get(path).json()["state"] == "succeeded", 60)
    for method, rest in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/cancel"),
        ("POST", "/retry"),
        ("GET", "/transcript"),
        ("PATCH", "/transcript"),
        ("GET", "/revisions"),
        ("GET", "/audio"),
        ("GET", "/events"),
        ("GET", "/deliveries"),
    ]:
        body = {"json": {"speakers": {"0": "Maya"}}} if method == "PATCH" else {}
        answer = world.two.request(method, path + rest, **body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "job_not_found"), (method, rest)
    assert world.two.get("/v1/recordings").json()["data"] == []
    assert [it["id"] for it in world.one.get("/v1/recordings").json()["data"]] == [path.rpartition("/")[2]]
    theirs = world.two.post("/v1/recordings", files={"file": ("m.wav", wav())}, headers={"Idempotency-Key": "same"})
    assert theirs.status_code == 202
    assert theirs.headers["location"] != path


def test_an_upload_in_parts_is_there_for_its_tenant_alone(world):
    tus = {"Tus-Resumable": "1.0.0"}
    data = wav()
    made = world.one.post("/v1/uploads", headers=tus | {"Upload-Length": str(len(data))})
    path, upload = made.headers["location"], made.json()["id"]
    part = tus | {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    for method in ("GET", "PATCH", "DELETE"):
        answer = world.two.request(method, path, headers=part, content=data if method == "PATCH" else b"")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "upload_not_found"), method
    assert world.one.patch(path, headers=part, content=data).status_code == 204
    assert world.two.post("/v1/recordings", data={"upload": upload}).status_code == 404
    assert world.one.post("/v1/recordings", data={"upload": upload}).status_code == 202


def test_a_voice_is_known_to_its_tenant_alone(world):
    path = world.one.post("/v1/recordings", files={"file": ("m.wav", wav())}).headers["location"]
    wait_until(lambda: world.one.get(path).json()["state"] == "succeeded", 60)
    wanted = {"name": "Maya", "recording": path.rpartition("/")[2], "speaker": 0}
    assert world.two.post("/v1/speakers", json=wanted).status_code == 404
    known = world.one.post("/v1/speakers", json=wanted).json()
    assert world.two.get("/v1/speakers").json()["data"] == []
    assert world.two.delete(f"/v1/speakers/{known['id']}").status_code == 404
    files = {"file": ("m.wav", wav())}
    assert world.two.post("/v1/recordings", files=files, data={"known_speakers": known["id"]}).status_code == 404
    assert world.one.delete(f"/v1/speakers/{known['id']}").status_code == 204


def test_a_live_session_is_resumed_seen_and_shared_by_its_tenant_alone(world):
    ready = talked(world, world.key(world.one))
    path = f"/v1/live/{ready['session']}"
    assert world.one.get(f"{path}/transcript?format=txt").status_code == 200
    for method, rest in [("GET", "/transcript"), ("GET", "/events"), ("GET", "/shares"), ("DELETE", "/shares/default")]:
        assert world.two.request(method, path + rest).status_code == 404
    assert world.two.post(f"{path}/shares", json={}).status_code == 404
    assert refused(f"{world.ws}{path}/view", additional_headers=bearer(world.key(world.two))) == 404
    with connect(f"{world.ws}/v1/live", additional_headers=bearer(world.key(world.two))) as socket:
        socket.send(json.dumps(START | {"resume": {"token": ready["token"], "have_revision": 0}}))
        assert json.loads(socket.recv(20))["code"] == "session_unknown"


def test_links_open_without_a_key_until_they_expire_or_are_revoked(world):
    ready = talked(world, world.key(world.one))
    path, anybody = f"/v1/live/{ready['session']}", httpx2.Client(base_url=world.url, timeout=30)
    made = world.one.post(f"{path}/shares", json={"ttl_s": 600}).json()
    short = world.one.post(f"{path}/shares", json={"ttl_s": 0.001}).json()
    with anybody:
        for secret in (ready["share"], made["share"]):
            assert anybody.get(f"{path}/transcript", params={"share": secret}).status_code == 200
            with connect(f"{world.ws}{path}/view?share={secret}") as socket:
                assert json.loads(socket.recv(20))["type"] == "ready"
        assert anybody.get(f"{path}/transcript", params={"share": short["share"]}).status_code == 404
        assert anybody.get(f"{path}/transcript", params={"share": "guess"}).status_code == 404
        assert anybody.get(f"{path}/transcript").status_code == 401
        for share_id in (made["id"], "default"):
            assert world.one.delete(f"{path}/shares/{share_id}").status_code == 204
        for secret in (ready["share"], made["share"]):
            assert anybody.get(f"{path}/transcript", params={"share": secret}).status_code == 404
            assert refused(f"{world.ws}{path}/view?share={secret}") == 404
    assert world.one.delete(f"{path}/shares/shr_none").status_code == 404
    kinds = {it["action"] for it in world.one.get("/v1/audit").json()["data"]}
    assert {"share.create", "share.revoke"} <= kinds


def test_a_token_opens_one_socket_and_is_used_up(world):
    for where in ({"subprotocols": ["token", token(world.one, "live")]}, {}):
        query = "" if where else f"?token={(used := token(world.one, 'live'))}"
        with connect(f"{world.ws}/v1/live{query}", **where) as socket:
            assert held(socket)["session"]
            assert socket.subprotocol == ("token" if where else None)
    assert refused(f"{world.ws}/v1/live?token={used}") == 401
    assert refused(f"{world.ws}/v1/live?token={token(world.one, 'read')}") == 403
    assert refused(f"{world.ws}/v1/live?token={world.key(world.one)}") == 401


def test_a_token_of_a_path_opens_it_again_and_again_and_nothing_else(world):
    path = world.one.post("/v1/recordings", files={"file": ("m.wav", wav())}).headers["location"]
    made = token(world.one, "read", path=f"{path}/audio")
    with httpx2.Client(base_url=world.url) as anybody:
        for _ in range(2):
            assert (
                anybody.get(f"{path}/audio", params={"token": made}, headers={"Range": "bytes=0-9"}).status_code == 206
            )
        assert anybody.get(path, params={"token": made}).status_code == 401
        assert anybody.delete(path, params={"token": token(world.one, "read")}).status_code == 403
    assert world.one.post("/v1/tokens", json={"scopes": ["transcribe"], "path": path}).status_code == 403
    assert world.one.post("/v1/tokens", json={"scopes": ["admin"]}).status_code == 422
    more = httpx2.post(f"{world.url}/v1/tokens", headers=bearer(token(world.one, "live")), json={"scopes": ["live"]})
    assert (more.status_code, more.json()["error"]["code"]) == (403, "scope_missing")


def test_keys_are_managed_by_who_may(world):
    made = world.admin.post("/v1/keys", json={"name": "new", "tenant": "two", "scopes": ["read"]})
    assert made.status_code == 201
    body = made.json()
    assert world.one.get("/v1/keys/" + body["id"]).status_code == 404
    assert world.two.get("/v1/keys/" + body["id"]).json()["key"] is None
    assert world.one.post("/v1/keys", json={"name": "x", "tenant": "two"}).status_code == 403
    assert world.one.delete("/v1/keys/" + body["id"]).status_code == 404
    assert body["id"] not in {it["id"] for it in world.one.get("/v1/keys").json()["data"]}
    turned = world.two.post(f"/v1/keys/{body['id']}/rotate", json={"overlap_s": 600}).json()
    for key in (body["key"], turned["key"]):
        assert httpx2.get(f"{world.url}/v1/recordings", headers=bearer(key)).status_code == 200
    assert world.two.post(f"/v1/keys/{body['id']}/rotate", json={}).status_code == 400
    assert world.two.delete(f"/v1/keys/{turned['id']}").json()["revoked_at"] is not None
    assert httpx2.get(f"{world.url}/v1/recordings", headers=bearer(turned["key"])).status_code == 401
    acts = [(it["action"], it["target"]) for it in world.two.get("/v1/audit").json()["data"]]
    assert acts[:2] == [("key.revoke", turned["id"]), ("key.rotate", body["id"])]
    assert all(it["tenant"] == "one" for it in world.one.get("/v1/audit").json()["data"])


def test_what_is_remembered_of_keys_is_changed_on_the_event_loop_alone(world, monkeypatch):
    def forget(_access, key_id):
        asyncio.get_running_loop()  # raises in any other thread
        forgotten.append(key_id)

    forgotten = []
    monkeypatch.setattr(Access, "forget", forget)
    _, key = world.access.keys.create(NewKey("brief", "two", frozenset({Scope.READ})))
    assert world.two.post(f"/v1/keys/{key.id}/rotate", json={}).status_code == 201
    assert world.two.delete(f"/v1/keys/{key.id}").status_code == 200
    assert forgotten == [key.id] * 2


def test_a_key_that_is_revoked_loses_its_open_socket(world):
    text, key = world.access.keys.create(NewKey("brief", "one", frozenset({Scope.LIVE})))
    with connect(f"{world.ws}/v1/live", additional_headers=bearer(text)) as socket:
        held(socket)
        world.access.keys.revoke(key.id)
        with pytest.raises(ConnectionClosed) as caught:
            deque((socket.recv(20) for _ in range(100)), 0)
    assert caught.value.rcvd.code == 1008


def test_a_keys_limits(world):
    def limited(**limits):
        return world.access.keys.create(NewKey("limited", "one", frozenset(Scope), KeyLimits(**limits)))[0]

    with httpx2.Client(base_url=world.url, headers=bearer(limited(requests_per_minute=2))) as http:
        assert [http.get("/v1/models").status_code for _ in range(2)] == [200, 200]
        late = http.get("/v1/models")
        assert (late.status_code, late.json()["error"]["code"]) == (429, "limit_reached")
        assert int(late.headers["retry-after"]) >= 1
    text = limited(concurrency=1)
    with connect(f"{world.ws}/v1/live", additional_headers=bearer(text)) as socket:
        held(socket)
        assert httpx2.get(f"{world.url}/v1/models", headers=bearer(text)).status_code == 429
        assert refused(f"{world.ws}/v1/listen", additional_headers=bearer(text)) == 429
    wait_until(lambda: httpx2.get(f"{world.url}/v1/models", headers=bearer(text)).status_code == 200)
    text = limited(audio_minutes_per_day=1)
    with client(world.url) as spender:
        spender.api_key = text
        for _ in range(6):
            assert spender.audio.transcriptions.create(model="whisper-1", file=("m.wav", wav())).text == TEXT
    for path in ("/v1/recordings", "/v1/audio/transcriptions"):
        assert httpx2.post(world.url + path, headers=bearer(text), files={"file": wav()}).status_code == 429
    assert refused(f"{world.ws}/v1/live", additional_headers=bearer(text)) == 429
    assert httpx2.get(f"{world.url}/v1/recordings", headers=bearer(text)).status_code == 200
