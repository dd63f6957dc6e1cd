"""The shipped nginx configuration, run by Debian's nginx."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import socket
import socketserver
import subprocess
import threading
from contextlib import closing, contextmanager
from urllib.parse import urlencode

import pytest
from tusclient.client import TusClient
from websockets.asyncio.client import connect

from app.client.recordings import RecordingsClient
from app.settings import Settings
from app.transport.uploads import UploadLimits
from tests.deploy.balancer import Balancer, nginx_program, render
from tests.deploy.places import NGINX
from tests.deploy.rolling import as_wav, cluster, sound


def checked(folder, config):
    done = subprocess.run(
        [nginx_program(), "-t", "-p", str(folder), "-c", str(config)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr, done.stderr


def test_the_configuration_is_valid(tmp_path):
    checked(tmp_path, render(tmp_path, 18080, [18001, 18002]))


def test_the_upstream_for_compose_is_valid_but_for_what_newer_versions_know(tmp_path):
    config = render(tmp_path, 18080, [18001])
    shipped = (NGINX / "upstream.conf").read_text()
    older = re.sub(r"resolver [^;]+;", "", shipped).replace(" resolve ", " ").replace("app:8000", "127.0.0.1:8000")
    assert older != shipped
    (tmp_path / "upstream.conf").write_text(older)
    checked(tmp_path, config)


def test_https_is_valid(tmp_path):
    config = render(tmp_path, 18080, [18001])
    made = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 -keyout tls.key -out tls.crt"
    subprocess.run(made.split(), cwd=tmp_path, check=True, capture_output=True)
    tls = tmp_path / "tls.conf"
    tls.write_text(tls.read_text().replace("/etc/nginx/tls/", f"{tmp_path}/"))
    config.write_text(config.read_text().replace("# include tls.conf;", "include tls.conf;"))
    checked(tmp_path, config)


def directive(name, place="server.conf"):
    found = re.search(rf"^\s*{name} (\S+);", (NGINX / place).read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def test_limits_follow_the_settings():
    settings = Settings()
    limits = UploadLimits(settings.limits.max_upload_bytes, settings.limits.max_field_bytes, 1.0)
    assert int(directive("client_max_body_size").removesuffix("m")) * 1024**2 == limits.max_body_bytes
    assert float(directive("client_body_timeout").removesuffix("s")) == settings.server.upload_stall_timeout_s
    text = (NGINX / "server.conf").read_text()
    sockets = re.search(r"live\|listen.*?proxy_read_timeout (\d+)s", text, re.DOTALL)
    whole = re.search(r"transcriptions \{\s*proxy_read_timeout (\d+)s", text)
    assert int(sockets[1]) > settings.live.idle_timeout_s
    assert int(whole[1]) > settings.server.request_timeout_s
    assert "non_idempotent" not in re.sub(r"#.*", "", text), "a POST must never be done twice"


class Fake(socketserver.ThreadingTCPServer):
    """A replica that keeps what it is asked and answers with one status; `hold` delays a second piece of the answer."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, status, hold=None):
        self.asked = []
        self.heard = threading.Event()
        self.status = status
        self.hold = hold
        super().__init__(("127.0.0.1", 0), _Answer)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]


class _Answer(socketserver.StreamRequestHandler):
    def handle(self):
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.request.recv(65536)
            if not data:
                return
            head += data
            self.server.heard.set()
        self.server.asked.append(head.decode("latin-1"))
        body = head.partition(b"\r\n\r\n")[2]
        if "expects-body" in self.server.asked[-1]:
            while not body:
                body += self.request.recv(65536)
        line = f"HTTP/1.1 {self.server.status} Whatever\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        self.request.sendall(line.encode() + b"data: first\n\n")
        if self.server.hold is not None:
            assert self.server.hold.wait(60)
            self.request.sendall(b"data: second\n\n")


@contextmanager
def in_front_of(folder, *fakes):
    balancer = Balancer(folder, [it.port for it in fakes])
    try:
        yield balancer
    finally:
        balancer.close()
        for fake in fakes:
            fake.shutdown()
            fake.server_close()


@contextmanager
def asked(port, method, path, body=None, headers=None):
    """The answer, and its connection closed at the end."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request(method, path, body, headers or {})
        with connection.getresponse() as answer:
            yield answer


def status_of(balancer, method, path, body=None, headers=None):
    with asked(balancer.port, method, path, body, headers) as answer:
        answer.read()
        return answer.status


def test_events_come_at_once(tmp_path):
    hold = threading.Event()
    events = "/v1/recordings/x/events"
    with in_front_of(tmp_path, Fake(200, hold)) as balancer, asked(balancer.port, "GET", events) as answer:
        assert answer.readline() == b"data: first\n"
        hold.set()
        assert b"second" in answer.read()


UPLOADS = (("POST", "/v1/recordings"), ("PATCH", "/v1/uploads/x"))


@pytest.mark.parametrize(("method", "path"), UPLOADS)
def test_uploads_go_through_as_they_come(tmp_path, method, path):
    fake = Fake(202)
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\nX-Is: expects-body\r\n\r\n".encode()
    with in_front_of(tmp_path, fake) as balancer, socket.create_connection(("127.0.0.1", balancer.port), 60) as sender:
        sender.sendall(head + b"12345")
        assert fake.heard.wait(60), "the replica hears of it before the body is whole"
        sender.sendall(b"67890")
        assert b" 202 " in sender.recv(100)


def test_a_get_goes_to_the_next_replica_and_an_upload_does_not(tmp_path):
    full, ready = Fake(503), Fake(200)
    with in_front_of(tmp_path, full, ready) as balancer:
        assert {status_of(balancer, "GET", f"/v1/recordings?n={number}") for number in range(4)} == {200}
    assert len(ready.asked) == 4
    assert full.asked, "the full one was never asked"
    full, also = Fake(503), Fake(503)
    (tmp_path / "uploads").mkdir()
    with in_front_of(tmp_path / "uploads", full, also) as balancer:
        for number, (method, path) in enumerate(UPLOADS, 1):
            assert status_of(balancer, method, path, b"sound") == 503
            assert len(full.asked) + len(also.asked) == number


def test_a_handshake_that_a_server_breaks_off_goes_to_the_next_and_an_error_of_a_request_does_not(tmp_path):
    ending, ready = Fake(500), Fake(200)
    with in_front_of(tmp_path, ending, ready) as balancer:
        assert {status_of(balancer, "GET", f"/v1/live?n={number}") for number in range(4)} == {200}
        assert {status_of(balancer, "GET", f"/v1/recordings?n={number}") for number in range(4)} == {200, 500}


def test_a_dead_replica_costs_nothing(tmp_path):
    dead, ready = Fake(200), Fake(200)
    dead.shutdown()
    dead.server_close()
    balancer = Balancer(tmp_path, [dead.port, ready.port])
    try:
        assert {status_of(balancer, "POST", "/v1/recordings", b"sound") for _ in range(4)} == {200}
    finally:
        balancer.close()
        ready.shutdown()
        ready.server_close()


@pytest.mark.parametrize(("given", "kept"), [("a-plain.id_01", True), ("bad id\t<script>", False), (None, False)])
def test_every_request_has_an_id(tmp_path, given, kept):
    fake = Fake(200)
    with in_front_of(tmp_path, fake) as balancer:
        status_of(balancer, "GET", "/v1/models?token=secret", None, {} if given is None else {"X-Request-ID": given})
    told = re.search(r"X-Request-ID: (\S+)\r\n", fake.asked[0])[1]
    assert (told == given) is kept
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,64}", told)
    lines = [json.loads(line) for line in balancer.log().splitlines() if line.startswith("{")]
    assert [line["path"] for line in lines if line["request_id"] == told] == ["/v1/models"]
    assert "secret" not in balancer.log()


def test_what_is_not_for_strangers_and_what_is_too_large(tmp_path):
    fake = Fake(200)
    with in_front_of(tmp_path, fake) as balancer:
        assert status_of(balancer, "GET", "/metrics") == 404
        assert status_of(balancer, "POST", "/v1/recordings", b"", {"Content-Length": str(2 * 1024**3)}) == 413
    assert fake.asked == []


@pytest.fixture(scope="module")
def two(tmp_path_factory, postgres):
    """The balancer in front of two real servers on one store."""
    folder = tmp_path_factory.mktemp("two")
    environment = {"CROSSTALK_DATA_DIR": str(folder / "data"), "CROSSTALK_STORE__URL": postgres.database()}
    with cluster(folder, environment) as running:
        yield running


def test_sockets_are_upgraded_and_spread(two):
    balancer, replicas = two

    async def talk():
        sockets = [await connect(balancer.live_url) for _ in range(4)]
        for it in sockets:
            await it.send(json.dumps({"type": "start", "version": 1, "audio": {"encoding": "pcm_s16le"}}))
            assert json.loads(await it.recv())["type"] == "ready"
        counts = [await asyncio.to_thread(replica.live_sessions) for replica in replicas]
        for it in sockets:
            await it.close()
        return counts

    assert asyncio.run(talk()) == [2, 2]


def test_an_upload_in_parts_goes_through_any_server(two, tmp_path):
    balancer, replicas = two
    file = tmp_path / "meeting.wav"
    file.write_bytes(as_wav(sound(0, 10.0)))
    with file.open("rb") as stream:
        begun = TusClient(f"{balancer.url}/v1/uploads").uploader(
            file_stream=stream, chunk_size=40_000, metadata={"filename": file.name}
        )
        begun.upload()
    assert begun.url.startswith(f"{balancer.url}/v1/uploads/"), "its address is the balancer's"
    lines = [json.loads(line) for line in balancer.log().splitlines() if line.startswith("{")]
    parts = [line["replica"] for line in lines if line["method"] == "PATCH"]
    assert set(parts) == {f"127.0.0.1:{replica.port}" for replica in replicas}, "parts are spread"
    with RecordingsClient(balancer.url) as client:
        upload = begun.url.rsplit("/", 1)[1]
        body = urlencode({"upload": upload}).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        with asked(balancer.port, "POST", "/v1/recordings", body, form) as answer:
            made = json.load(answer)
        done = client.wait(made["id"])
        assert done.state == "succeeded"
        assert "alpha bravo" in client.transcript(done.id, "txt").content.decode()
