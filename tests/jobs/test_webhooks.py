"""Webhooks against a real receiver on the loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from app.errors import WebhookRefused
from app.jobs.deliveries import add_delivery
from app.jobs.types import DeliveryState
from app.jobs.webhooks import WebhookRules, check_webhook, send_due

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


def put(site, receiver):
    job = site.submit(b"x")
    url = f"http://127.0.0.1:{receiver.server_port}/hook?a=1"
    with site.store.database.write() as connection:
        add_delivery(connection, job.id, url, "recording.succeeded", '{"a": "é"}', 0.0)
    return job


def log(site, job):
    return site.store.deliveries.of_job(job.id)[0]


def test_two_failures_then_success_signed(site, receiver):
    job = put(site, receiver)
    receiver.answers = [500, 503]
    send_due(site.store.deliveries, RULES)
    found = log(site, job)
    assert (found.state, found.attempts, found.status) == (DeliveryState.DELIVERED, 3, 204)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    path, headers, body = receiver.got[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert path == "/hook?a=1"
    assert headers["webhook-signature"] == f"v1,{expected}"


def test_redirects_are_not_followed_and_tries_end(site, receiver):
    job = put(site, receiver)
    receiver.answers = [302] * 9
    send_due(site.store.deliveries, RULES)
    assert (log(site, job).state, log(site, job).status) == (DeliveryState.FAILED, 302)
    assert [path for path, _, _ in receiver.got] == ["/hook?a=1"] * 3


def test_private_is_refused_when_sending_too(site, receiver):
    job = put(site, receiver)
    send_due(site.store.deliveries, replace(RULES, allow_private=False))
    assert log(site, job).state is DeliveryState.FAILED
    assert receiver.got == []


def test_a_sender_that_died_is_taken_over(site, receiver):
    job = put(site, receiver)
    assert len(site.store.deliveries.claim_due(1, lease_s=0)) == 1
    send_due(site.store.deliveries, RULES)
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
