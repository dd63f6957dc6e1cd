"""docker-compose.yml: valid by the Compose specification, closed to strangers, nothing without a limit and a check."""

from __future__ import annotations

import re

import compose_spec
import pytest
import yaml

from app.settings import setting_names
from tests.deploy.places import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
SECRETS = {"POSTGRES_PASSWORD", "ENGINE_TOKEN", "METRICS_TOKEN", "GRAFANA_PASSWORD"}


def interpolated(text, values):
    """As Compose does it. Raises KeyError for a value that is required and missing."""

    def value(found):
        name, kind, default = found[1], found[2], found[3]
        if name in values:
            return values[name]
        if kind == ":?":
            raise KeyError(name)
        assert kind == ":-", f"{name} has neither a default nor is it required"
        return default

    return re.sub(r"\$\{(\w+)(:[-?])?([^}]*)\}", value, text)


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(interpolated(TEXT, dict.fromkeys(SECRETS, "s" * 48)))["services"]


def test_it_is_valid_by_the_specification():
    compose = compose_spec.PyOptions(apply_merge=True).from_yaml(interpolated(TEXT, dict.fromkeys(SECRETS, "s" * 48)))
    assert {"app", "database", "balancer", "infer", "prometheus", "grafana"} <= set(compose.service_names())
    compose.validate()


def test_the_check_can_fail():
    with pytest.raises(ValueError, match=r"."):
        compose_spec.PyCompose.from_yaml("services: {app: {image: x, prots: [1]}}")


def test_every_secret_is_required_and_none_is_written_down():
    for name in SECRETS:
        with pytest.raises(KeyError, match=name):
            interpolated(TEXT, dict.fromkeys(SECRETS - {name}, "x"))
    asked = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert asked == SECRETS
    for name in re.findall(r"\$\{(\w*(?:PASSWORD|TOKEN|SECRET|KEY)\w*)", TEXT):
        assert name in SECRETS


def test_strangers_need_a_key(services):
    for service in (services["app"], services["infer"]):
        assert service["environment"]["CROSSTALK_ACCESS__REQUIRED"] == "true"
        assert "CROSSTALK_ACCESS__ALLOW_OPEN" not in service["environment"]
    published = {name: it["ports"] for name, it in services.items() if "ports" in it}
    assert set(published) == {"balancer", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in published["grafana"])


def test_every_setting_is_one(services):
    known = set(setting_names())
    for service in services.values():
        for name in service.get("environment", ()):
            if name.startswith("CROSSTALK_"):
                assert name in known, name


def test_everything_is_bounded_checked_and_restarted(services):
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert limits["cpus"], name
        assert limits["memory"], name
        assert service["restart"] in {"unless-stopped", "on-failure"}
        assert "no-new-privileges:true" in service["security_opt"], name
        assert ":latest" not in service["image"], name
        if name != "database":
            assert service["cap_drop"] == ["ALL"], name
        if name not in {"weights", "app"}:  # the first ends, and the image brings the other's check
            assert service["healthcheck"]["test"], name


def test_servers_are_read_only_and_have_time_to_drain(services):
    for name in ("weights", "app", "infer", "balancer"):
        assert services[name]["read_only"] is True
    assert int(services["app"]["stop_grace_period"].removesuffix("s")) >= 5 + 30 + 5
    assert services["app"]["deploy"]["replicas"] == 2


def test_profiles(services):
    by_default = {name for name, it in services.items() if "profiles" not in it}
    assert by_default == {"weights", "app", "balancer", "database"}
    assert services["infer"]["profiles"] == ["gpu"]
    assert services["infer"]["build"]["args"]["DEVICE"] == "cuda"
    assert services["infer"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert services["prometheus"]["profiles"] == services["grafana"]["profiles"] == ["metrics"]


def test_images_may_be_ready_made():
    given = dict.fromkeys(SECRETS, "s" * 48) | {"IMAGE": "registry/crosstalk:airgapped", "GPU_IMAGE": "registry/gpu:1"}
    services = yaml.safe_load(interpolated(TEXT, given))["services"]
    assert {services[name]["image"] for name in ("app", "weights")} == {given["IMAGE"]}
    assert services["infer"]["image"] == given["GPU_IMAGE"]


def test_every_file_that_is_mounted_is_there(services):
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).is_dir(), source
