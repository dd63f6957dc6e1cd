"""Who a listener says to be."""

from __future__ import annotations

import pytest

from app.transport.access.credentials import Credentials, credentials_of


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"authorization": "Token abc"}, (Credentials("token", "abc"), None)),
        ({"authorization": "Bearer abc"}, (Credentials("bearer", "abc"), None)),
        ({"sec-websocket-protocol": "token, abc"}, (Credentials("token", "abc"), "token")),
        ({"sec-websocket-protocol": "bearer,abc"}, (Credentials("bearer", "abc"), "bearer")),
        ({"authorization": "Basic abc"}, (None, None)),
        ({"authorization": "Token "}, (None, None)),
        ({"sec-websocket-protocol": "chat"}, (None, None)),
        ({}, (None, None)),
    ],
)
def test_credentials(headers, expected):
    assert credentials_of(headers) == expected


def test_a_key_is_not_shown():
    assert "secret" not in repr(Credentials("token", "secret"))
