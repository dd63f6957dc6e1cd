"""The dashboard, the alerts and the scrape configuration can be read, and every figure that they name is there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from app.monitoring import make_metrics
from app.settings import Settings
from app.telemetry.collect import (
    EngineCollector,
    EngineState,
    LiveCollector,
    LiveState,
    QueueCollector,
    QueueState,
    WorkerCollector,
)

DEPLOY = Path(__file__).parents[2] / "deploy"
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",), "gauge": ("",)}
ADDED = {"job", "instance", "le"}
"""Labels that Prometheus adds."""


@pytest.fixture(scope="module")
def series() -> dict[str, set[str]]:
    """Name of a series -> its labels."""
    metrics = make_metrics(Settings())
    metrics.registry.register(EngineCollector(lambda: EngineState({"decode": 0}, (1, 2))))
    metrics.registry.register(LiveCollector(lambda: LiveState(0, 1, 0.0, 0)))
    metrics.registry.register(QueueCollector(lambda: QueueState({"queued": 0}, 0.0)))
    metrics.registry.register(WorkerCollector(lambda: {"up": 1}))
    metrics.batch("decode", [0.0], 1.0)
    metrics.engine_call("decode", 1.0, 1.0, "")
    metrics.words("written", 1)
    metrics.job_ended("succeeded", 1.0, 1.0)
    metrics.webhook("delivered", 1.0)
    metrics.transaction("read", 1.0, "store_unavailable")
    metrics.request("GET", "/", 200, 1.0)
    metrics.error("http", "not_found")
    return {
        f"{family.name}{suffix}": {name for sample in family.samples for name in sample.labels}
        for family in metrics.registry.collect()
        for suffix in SUFFIXES[family.type]
    }


def dashboard() -> dict:
    return json.loads((DEPLOY / "grafana/dashboards/crosstalk.json").read_text())


def rules() -> list[dict]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    return group["rules"]


def expressions() -> Iterator[str]:
    for panel in dashboard()["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (rule["expr"] for rule in rules())


def test_every_figure_and_label_that_is_named_is_there(series):
    named = 0
    for expression in expressions():
        labels = {label for group in re.findall(r"by \(([^)]*)\)", expression) for label in group.split(", ")}
        known = set(ADDED)
        for name, matchers in re.findall(r"\b((?:crosstalk|process)_[a-z_]+)(?:\{([^}]*)\})?", expression):
            named += 1
            assert name in series, f"{name} in {expression}"
            known |= series[name]
            assert set(re.findall(r'(\w+)[=!]~?"', matchers)) <= series[name] | ADDED, expression
        assert labels <= known, expression
    assert named > 40


def test_no_figure_is_left_out_of_the_dashboard(series):
    shown = set(
        re.findall(
            r"crosstalk_[a-z_]+", "\n".join(it["expr"] for p in dashboard()["panels"] for it in p.get("targets", ()))
        )
    )
    bases = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in shown}
    ours = {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in series if name.startswith("crosstalk_")}
    assert {name for name in ours if not name.endswith("_created")} == bases


def test_brackets_close_and_panels_do_not_lie_on_one_another():
    for expression in expressions():
        for opening, closing in ("()", "[]", "{}"):
            assert expression.count(opening) == expression.count(closing), expression
    taken: set[tuple[int, int]] = set()
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_alerts_say_how_urgent_they_are_and_what_is_the_case():
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_prometheus_asks_the_port_of_the_settings_and_reads_the_alerts():
    config = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert config["rule_files"] == ["alerts.yml"]
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "crosstalk"
    assert "job=~" in json.dumps(dashboard())
    (dns,) = job["dns_sd_configs"]
    assert dns["port"] == 9464
    for part in ("datasources/prometheus.yml", "dashboards/crosstalk.yml"):
        assert yaml.safe_load((DEPLOY / "grafana/provisioning" / part).read_text())["apiVersion"] == 1
