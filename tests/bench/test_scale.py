"""app/bench/scale.py: the constants are read, devices are simulated, and what breaks first is told in order."""

from __future__ import annotations

import math

import pytest

from app.bench import scale
from app.errors import OptionInvalid

CONSTANTS = """
device = "devices"
[meeting]
"bytes in" = 32_000
"bytes out" = 1_000
cores = 0.005
"memory bytes" = 1_073_741_824
writes = 0.5
"log bytes" = 10_000
"kept bytes" = 100
[http]
server_core_s_per_call = 0.001
[[call]]
name = "diarize"
per_s = 2.0
regular = true
each_s = 0.004
bytes = 100_000
[[call]]
name = "decode"
per_s = 1.0
each_s = 0.012
max_batch = 8
bytes = 50_000
[rules]
answer_s = 0.5
max_load = 0.8
company_s = 0.0
workers = [1, 2]
[[unit]]
name = "store"
takes = "writes"
holds = 100
more = "another"
[[unit]]
name = "process"
takes = "cores"
holds = 0.8
more = "more"
"""


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "constants.toml"
    path.write_text(CONSTANTS)
    return scale.load_model(path)


def test_needs_follow_from_the_calls(model):
    assert model.needs["call bytes"] == 2 * 100_000 + 50_000
    assert model.needs["cores"] == pytest.approx(0.005 + 3 * 0.001)
    assert model.needs["client bytes"] == 33_000


def test_devices_carry_what_the_law_of_utilisation_allows(model):
    """20 ms of a device in a second each: at most 40 streams at four fifths of a device, and answers are in time."""
    for found in scale.pools(model):
        assert 0.93 * 40 * found.workers <= found.streams <= 40 * found.workers
        assert found.served.busy <= 0.8
        assert found.served.answer_p95_s <= 0.5


def test_a_device_too_slow_for_one_stream_carries_none(model):
    slow = scale.with_device(model, {"decode": 2.0})
    found = scale.pools(slow)
    assert [it.streams for it in found] == [0, 0]
    assert scale.meeting_rows(slow, found, [10])[0]["devices"] == "none will do"


def test_what_breaks_is_told_in_order(model):
    found = scale.pools(model)
    each = max(it.each for it in found)
    order = [(unit.name, carries) for unit, carries in scale.breaking(model, found)]
    assert order == [("devices", each), ("process", pytest.approx(100)), ("store", 200)]
    rows = scale.meeting_rows(model, found, [1_000, 10, 150])
    assert [row["meetings"] for row in rows] == [10, 150, 1_000]
    assert [row["breaks on the way"] for row in rows] == ["nothing", "devices, process", "store"]
    assert [row["devices"] for row in rows] == [math.ceil(it / each) for it in (10, 150, 1_000)]
    assert rows[2]["writes/s"] == pytest.approx(500)
    assert rows[2]["server memory GiB"] == pytest.approx(1_000)
    assert rows[2]["workers Mbit/s"] == pytest.approx(2_000)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("per_s = 2.0", ""),
        ("per_s = 2.0", "often = 2.0"),
        ('takes = "writes"', 'takes = "luck"'),
        ("[rules]", "[rules"),
        ("holds = 100", 'holds = "many"'),
    ],
)
def test_constants_that_lack_something_are_refused(tmp_path, old, new):
    path = tmp_path / "constants.toml"
    path.write_text(CONSTANTS.replace(old, new, 1))
    with pytest.raises(OptionInvalid):
        scale.load_model(path)


def test_our_own_constants_can_be_read():
    model = scale.load_model()
    assert {it.lane.name for it in model.calls} == {"diarize", "decode"}
    assert {"writes", "call bytes", "client bytes", "cores"} <= {unit.takes for unit in model.units}
