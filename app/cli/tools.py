"""What the commands get from outside: how to build an engine. Tests put another builder in its place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import typer

from app.engine.base import Engine
from app.settings import Settings

EngineBuilder = Callable[[Settings], Awaitable[Engine]]


@dataclass(frozen=True, slots=True)
class Tools:
    """Travels as the context's object from `main` to every command."""

    build: EngineBuilder


def tools_of(context: typer.Context) -> Tools:
    """The tools of this run."""
    tools = context.find_object(Tools)
    assert tools is not None
    return tools
