"""Secrets: how they are made, what is stored of them, how they are compared.

A secret has 256 random bits, so that one round of SHA-256 keeps it: guessing is out of reach, and a slow hash would
only be a way to keep the server busy. `ctk_<id>_<secret>` is a key, `ctt_<id>_<secret>` a token: the id finds the row.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field

KEY, TOKEN = "ctk", "ctt"
_FORM = re.compile(r"(ctk|ctt)_([0-9a-f]{16})_([0-9A-Za-z_-]{43})")


@dataclass(frozen=True, slots=True)
class Shown:
    """A secret that somebody shows. kind: KEY or TOKEN."""

    kind: str
    id: str
    secret: str = field(repr=False)


def new_secret(kind: str) -> tuple[str, Shown]:
    """A new secret: as it is handed out, once, and its parts."""
    shown = Shown(kind, secrets.token_hex(8), secrets.token_urlsafe(32))
    return f"{kind}_{shown.id}_{shown.secret}", shown


def parse(text: str) -> Shown | None:
    """The parts of a secret; None for what is none of ours."""
    found = _FORM.fullmatch(text)
    return None if found is None else Shown(found[1], found[2], found[3])


def digest(secret: str) -> str:
    """What is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def matches(secret: str, stored: str) -> bool:
    """Whether a secret is the stored one, in a time that tells nothing."""
    return hmac.compare_digest(digest(secret), stored)
