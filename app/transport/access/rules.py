"""What the guard is told by the settings; by itself, so that whoever reads settings needs no web framework."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GuardRules:
    """Their meanings stand in app/settings, group `access`. max_body_bytes: of a request that is no upload."""

    required: bool = False
    any_host: bool = False
    origins: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    recheck_s: float = 30.0
    max_body_bytes: int = 4 * 1024**2
