"""The pure rules: secrets, keys that are refused, rate and concurrency."""

from __future__ import annotations

import pytest

from app.access import secret
from app.access.limits import Limiter
from app.access.types import Identity, KeyLimits, NewKey, Scope, scopes_of
from app.errors import LimitReached, OptionInvalid, ScopeMissing


def test_a_secret_is_parsed_as_it_was_made_and_only_its_digest_matches():
    text, shown = secret.new_secret(secret.KEY)
    assert secret.parse(text) == shown
    assert shown.secret not in repr(shown)
    assert secret.matches(shown.secret, secret.digest(shown.secret))
    assert not secret.matches(shown.secret + "x", secret.digest(shown.secret))
    assert secret.new_secret(secret.KEY)[0] != text


@pytest.mark.parametrize(
    "text", ["", "ctk_", "ctk_0123456789abcdef_short", "sk-abc", "ctx_0123456789abcdef_" + "a" * 43]
)
def test_what_is_no_secret_of_ours(text):
    assert secret.parse(text) is None
    assert secret.parse("ctk_0123456789abcdef_" + "a" * 43 + "\n") is None


@pytest.mark.parametrize(
    "fields",
    [
        {"name": " "},
        {"name": "x" * 201},
        {"name": "a\n"},
        {"tenant": "a b"},
        {"tenant": "x" * 65},
        {"scopes": frozenset()},
    ],
)
def test_a_key_that_cannot_be(fields):
    with pytest.raises(OptionInvalid):
        NewKey(**({"name": "key"} | fields))


def test_limits_and_scopes_that_cannot_be():
    with pytest.raises(OptionInvalid):
        KeyLimits(concurrency=-1)
    with pytest.raises(OptionInvalid):
        scopes_of(["read", "write"])


def test_a_scope_is_needed():
    who = Identity("k", "one", frozenset({Scope.READ}))
    who.need(Scope.READ)
    with pytest.raises(ScopeMissing):
        who.need(Scope.LIVE)


def test_a_minutes_worth_passes_at_once_and_then_the_rate():
    limiter, who = Limiter(), Identity("k", limits=KeyLimits(requests_per_minute=6))
    for _ in range(6):
        limiter.enter(who, 100.0)
        limiter.leave(who)
    with pytest.raises(LimitReached) as caught:
        limiter.enter(who, 100.0)
    assert caught.value.retry_after_s == 11
    limiter.enter(who, 110.0)
    limiter.enter(Identity("other", limits=KeyLimits(requests_per_minute=6)), 100.0)


def test_only_so_many_at_the_same_time():
    limiter, who = Limiter(), Identity("k", limits=KeyLimits(concurrency=2))
    limiter.enter(who, 0.0)
    limiter.enter(who, 0.0)
    with pytest.raises(LimitReached):
        limiter.enter(who, 0.0)
    limiter.leave(who)
    limiter.enter(who, 0.0)
    limiter.leave(who)
    limiter.leave(who)
    limiter.enter(who, 0.0)
