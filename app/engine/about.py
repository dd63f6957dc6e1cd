"""What an inference worker says of itself: its models, and how much it takes at once. For `infer_app` and its client.

Two workers may answer for one another only when their models are the same to the byte: that is their `identity`. The
engine's capacity is how many requests keep its models busy; sessions ask for so many at once.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from app.core.types import EngineSpec
from app.engine.base import Engine
from app.engine.load import EngineCost
from app.engine.strict_json import WireInvalid, number, parse
from app.engine.wire import dump_spec, load_spec

PROTOCOL = 1
BATCHES_AT_ONCE = 2
"""One batch in the models, and one that is gathered meanwhile."""

DEFAULT_CAPACITY = 16


@dataclass(frozen=True, slots=True)
class About:
    """spec: what the models dictate; identity: hash over the weights and all that changes answers; capacity: requests
    that keep the worker busy; instance: this process, anew at each start; in_flight: requests inside now; cost:
    what its work costs, as measured."""

    spec: EngineSpec
    identity: str
    capacity: int
    instance: str
    in_flight: int = 0
    cost: EngineCost = field(default_factory=lambda: EngineCost(1))


@runtime_checkable
class HasCapacity(Protocol):
    """An engine that knows how many requests it works on at once."""

    @property
    def capacity(self) -> int:
        """Requests in flight that keep the models busy."""


@runtime_checkable
class HasIdentity(Protocol):
    """An engine that knows which models it runs."""

    @property
    def identity(self) -> str:
        """The same for two engines only when their answers are interchangeable."""


def capacity_of(engine: Engine) -> int:
    """How many requests keep an engine busy."""
    return engine.capacity if isinstance(engine, HasCapacity) else DEFAULT_CAPACITY


def identity_of(engine: Engine) -> str:
    """Which models an engine runs; of one that does not know, its decoder's name."""
    return engine.identity if isinstance(engine, HasIdentity) else engine.spec.decoder


def dump_about(about: About) -> bytes:
    """As one JSON object."""
    return json.dumps(
        {
            "protocol": PROTOCOL,
            "spec": base64.b64encode(dump_spec(about.spec)).decode("ascii"),
            "decoder": about.spec.decoder,
            "identity": about.identity,
            "capacity": about.capacity,
            "instance": about.instance,
            "in_flight": about.in_flight,
            "devices": about.cost.devices,
            "diarize_cost": float(about.cost.diarize),
            "decode_cost": float(about.cost.decode),
        }
    ).encode("ascii")


def load_about(data: bytes) -> About:
    """Inverse of `dump_about`. Raises WireInvalid, also for another version of the protocol."""
    fields = parse("about", data)
    protocol = fields.integer("protocol")
    if protocol != PROTOCOL:
        raise WireInvalid(f"a worker of protocol {protocol}; this program speaks protocol {PROTOCOL}")
    try:
        spec = load_spec(base64.b64decode(fields.text("spec"), validate=True))
    except binascii.Error as error:
        raise WireInvalid(f"about.spec is not base64: {error}") from error
    decoder = fields.text("decoder")
    about = About(
        spec,
        fields.text("identity"),
        fields.integer("capacity"),
        fields.text("instance"),
        fields.integer("in_flight"),
        EngineCost(fields.integer("devices"), fields.one("diarize_cost", number), fields.one("decode_cost", number)),
    )
    fields.done()
    if decoder != spec.decoder or about.capacity < 1 or about.in_flight < 0:
        raise WireInvalid(f"about contradicts itself: {about}")
    return about
