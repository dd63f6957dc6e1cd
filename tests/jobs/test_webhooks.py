"""Webhooks against a real receiver on the loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from contextlib import closing, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.errors import WebhookRefused
from app.jobs.claims import ClaimRules, Claims
from app.jobs.deliveries import add_delivery
from app.jobs.sender import Sender
from app.jobs.types import ENDS, TOLD, DeliveryState, Failure, JobOptions, JobState
from app.jobs.webhooks import WebhookRules, check_webhook

KEY = b"k" * 32
RULES = WebhookRules("whsec_" + base64.b64encode(KEY).decode(), allow_private=True, max_attempts=3, retry_s=0)


@pytest.fixture
def receiver():
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.server.got.append((self.path, dict(self.headers), body))
            self.send_response(self.server.answers.pop(0) if self.server.answers else 204)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.got, server.answers = [], []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def send_all(site, rules=RULES):
    """Until nothing is due any more."""
    with closing(Sender(site.store.deliveries, rules)) as sender:
        while sender.begin_due():
            sender.wait(60)


def put(site, receiver=None, url=None):
    job = site.submit(b"x")
    url = url or f"http://127.0.0.1:{receiver.server_port}/hook?a=1"
    with site.store.database.write() as connection:
        add_delivery(connection, job.id, url, "recording.succeeded", '{"a": "é"}', 0.0)
    return job


def log(site, job):
    return site.store.deliveries.of_job(job.id)[0]


def test_two_failures_then_success_signed(site, receiver):
    job = put(site, receiver)
    receiver.answers = [500, 503]
    send_all(site)
    found = log(site, job)
    assert (found.state, found.attempts, found.status) == (DeliveryState.DELIVERED, 3, 204)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    path, headers, body = receiver.got[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert path == "/hook?a=1"
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_an_error_that_nobody_thought_of_is_told_and_the_message_stays_due(site, receiver, monkeypatch, caplog):
    def fails(*_arguments):
        raise ZeroDivisionError

    job = put(site, receiver)
    monkeypatch.setattr("app.jobs.sender.post", fails)
    send_all(site)
    assert "ZeroDivisionError" in caplog.text
    assert log(site, job).state is DeliveryState.PENDING


def test_redirects_are_not_followed_and_tries_end(site, receiver):
    job = put(site, receiver)
    receiver.answers = [302] * 9
    send_all(site)
    assert (log(site, job).state, log(site, job).status) == (DeliveryState.FAILED, 302)
    assert [path for path, _, _ in receiver.got] == ["/hook?a=1"] * 3


def test_private_is_refused_when_sending_too(site, receiver):
    job = put(site, receiver)
    send_all(site, replace(RULES, allow_private=False))
    assert log(site, job).state is DeliveryState.FAILED
    assert receiver.got == []


def test_a_sender_that_died_is_taken_over(site, receiver):
    job = put(site, receiver)
    assert len(site.store.deliveries.claim_due(1, lease_s=0)) == 1
    send_all(site)
    assert (log(site, job).state, log(site, job).attempts) == (DeliveryState.DELIVERED, 2)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://10.1.2.3/",
        "http://169.254.169.254/",
        "http://[::ffff:10.0.0.1]/",
        "http://[64:ff9b::a00:1]/",
        "http://[::a00:1]/",
        "http://0.0.0.0/",
        "http://localhost/",
        "ftp://1.1.1.1/",
        "http://u:p@1.1.1.1/",
        "http://1.1.1.1:99999/",
        "x",
    ],
)
def test_refused_addresses(url):
    with pytest.raises(WebhookRefused):
        check_webhook(url, replace(RULES, allow_private=False))


def test_secret_is_not_shown_and_needed():
    assert RULES.secret not in repr(RULES)
    with pytest.raises(WebhookRefused):
        check_webhook("https://1.1.1.1/", WebhookRules())


def told(site, job):
    return [(it.event, json.loads(it.body)["recording"].get("code")) for it in site.store.deliveries.of_job(job.id)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (ENDS, [("recording.failed", "engine_failed")]),
        ((JobState.RUNNING, JobState.SUCCEEDED), [("recording.running", None)]),
        (TOLD, [("recording.running", None), ("recording.failed", "engine_failed")]),
    ],
)
def test_the_webhook_is_told_of_the_states_it_wants(site, events, expected):
    claims = Claims(site.store.database, ClaimRules(max_attempts=2))
    job = site.submit(b"x", options=JobOptions(webhook="https://1.1.1.1/", events=events))
    claims.hand_over(claims.claim_next("one"))
    claim = claims.claim_next("two")
    assert claim.job.options.events == events
    claims.fail(claim, Failure("engine_failed", "no luck"))
    assert told(site, job) == expected


def test_a_recording_cancelled_while_it_waits_is_told_too(site):
    job = site.submit(b"x", options=JobOptions(webhook="https://1.1.1.1/"))
    site.store.jobs.cancel(job.id)
    site.store.jobs.cancel(job.id)
    assert told(site, job) == [("recording.cancelled", None)]


def test_options_of_an_older_version_mean_the_ends():
    options = JobOptions(webhook="https://1.1.1.1/")
    assert "events" not in options.to_json()
    assert JobOptions.from_json(options.to_json()) == options


@contextmanager
def silent():
    """A receiver that takes connections and never says a word; yields its port."""
    held = []

    def accept():
        with listening:
            while True:
                try:
                    held.append(listening.accept()[0])
                except OSError:
                    return

    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for it in held:
            it.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_try_has_one_time_for_all_of_it(site, scheme):
    with silent() as port:
        job = put(site, url=f"{scheme}://127.0.0.1:{port}/")
        send_all(site, replace(RULES, timeout_s=0.2, max_attempts=1))
    assert (log(site, job).state, log(site, job).error) == (DeliveryState.FAILED, "no answer within 0.2 s")


def test_an_answer_drop_by_drop_is_cut(site):
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            while not over.wait(0.05):
                try:
                    self.wfile.write(b"H")
                except OSError:
                    return

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        job = put(site, server)
        send_all(site, replace(RULES, timeout_s=0.4, max_attempts=1))
        over.set()
        server.shutdown()
        thread.join()
    assert log(site, job).error == "no answer within 0.4 s"


def test_a_name_that_does_not_resolve_in_time(site, monkeypatch):
    over = threading.Event()
    job = put(site, url="http://hook.example/")
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(30) and [])
    sender = Sender(site.store.deliveries, replace(RULES, timeout_s=0.2, max_attempts=1))
    # The database is asked for its name too, so the message is claimed before.
    message = replace(site.store.deliveries.of_job(job.id)[0], attempts=1)
    monkeypatch.setattr(site.store.deliveries, "failed", lambda *it: recorded.append(it))
    recorded = []
    assert sender._try(message) == "given_up"
    over.set()
    sender.close()
    assert recorded == [(message.id, None, "no answer within 0.2 s", None)]


def test_a_name_with_several_addresses_is_tried_at_each(site, receiver, monkeypatch):
    asked, known = socket.getaddrinfo, ("127.0.0.2", "127.0.0.1")  # nobody listens at the first

    def resolve(host, port, *more, **options):
        if host != "hook.example":
            return asked(host, port, *more, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (it, port)) for it in known]

    job = put(site, url=f"http://hook.example:{receiver.server_port}/")
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    send_all(site)
    assert (log(site, job).state, log(site, job).attempts) == (DeliveryState.DELIVERED, 1)
    assert receiver.got[0][1]["Host"] == f"hook.example:{receiver.server_port}"


def test_a_slow_receiver_holds_up_its_own_messages_alone(site, receiver):
    rules = replace(RULES, timeout_s=60, at_once=3, at_once_each=2)
    with silent() as port:
        slow = [put(site, url=f"http://127.0.0.1:{port}/{number}") for number in range(5)]
        quick = [put(site, receiver) for _ in range(5)]
        sender = Sender(site.store.deliveries, rules)
        while any(log(site, it).state is not DeliveryState.DELIVERED for it in quick):
            sender.begin_due()
            sender.wait(0.05)
        assert sum(log(site, it).attempts for it in slow) == 2
    sender.close()
    assert len(receiver.got) == 5
