"""What Ray Serve deploys lets no strangers in, and says what is missing. The cluster itself: tests/engine/ray."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest
import yaml

from app.cli.on_ray import application, guarded_settings
from app.errors import OptionInvalid, SetupError
from app.settings import load_settings

SHIPPED = Path(__file__).parents[2] / "deploy/ray/serve.yaml"


@pytest.fixture(autouse=True)
def guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTALK_ENGINE__TOKEN", "secret")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")


def test_a_guarded_machine_is_taken() -> None:
    assert guarded_settings().engine.token == "secret"


def test_without_the_workers_token_nothing_is_deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CROSSTALK_ENGINE__TOKEN")
    with pytest.raises(SetupError, match="need a token"):
        application({})


@pytest.mark.parametrize("mode", [None, "disabled"])
def test_on_a_cluster_that_is_open_nothing_is_deployed(monkeypatch: pytest.MonkeyPatch, mode: str | None) -> None:
    monkeypatch.delenv("RAY_AUTH_MODE")
    if mode is not None:
        monkeypatch.setenv("RAY_AUTH_MODE", mode)
    with pytest.raises(SetupError, match="RAY_AUTH_MODE=token"):
        application({})


def test_a_worker_that_calls_workers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CROSSTALK_ENGINE__KIND", "http")
    with pytest.raises(OptionInvalid, match=r"unset engine\.kind"):
        application({})


def test_arguments_are_refused() -> None:
    with pytest.raises(OptionInvalid, match="decoder"):
        application({"decoder": "cascade"})


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_the_extra_it_says_what_to_install() -> None:
    with pytest.raises(SetupError, match=r"crosstalk\[ray\]"):
        application({})


def test_the_shipped_configuration_fits_the_settings() -> None:
    shipped = yaml.safe_load(SHIPPED.read_text())
    (deployed,) = shipped["applications"]
    module, _, name = deployed["import_path"].partition(":")
    assert getattr(importlib.import_module(module), name) is application
    (deployment,) = deployed["deployments"]
    settings = load_settings()
    # A full replica says so itself, and probes are given up before Serve gives up waiting for them.
    assert deployment["max_ongoing_requests"] > settings.engine.max_inside
    assert deployment["health_check_timeout_s"] > settings.server.probe_timeout_s
    # Recordings ask for as much as keeps the replicas busy: below that, one more is asked for.
    busy = 2 * max(settings.engine.max_decode_batch, settings.engine.max_diarize_batch)
    assert deployment["autoscaling_config"]["target_ongoing_requests"] < busy
    assert "CROSSTALK" not in str(shipped)
