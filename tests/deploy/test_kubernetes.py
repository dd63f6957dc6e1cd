"""The Kubernetes manifests: valid by the API's schemas, and they fit one another and the program."""

from __future__ import annotations

import re

import kubernetes_validate
import pytest
import yaml

from app.settings import Settings, setting_names
from tests.deploy.places import DEPLOY, ROOT

FOLDER = DEPLOY / "kubernetes"
KUSTOMIZATION = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS = [it for name in KUSTOMIZATION["resources"] for it in yaml.safe_load_all((FOLDER / name).read_text())]
DEPLOYMENTS = {it["metadata"]["name"]: it["spec"]["template"] for it in OBJECTS if it["kind"] == "Deployment"}
OLDEST, NEWEST = "1.30", "1.36"


def of_kind(kind):
    return [it for it in OBJECTS if it["kind"] == kind]


def named(it):
    return f"{it['kind']}-{it['metadata']['name']}"


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("it", OBJECTS, ids=named)
def test_every_object_is_valid(it, version):
    kubernetes_validate.validate(it, version, strict=True)


def test_the_check_can_fail():
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"prots": []}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, NEWEST, strict=True)


def test_every_file_is_applied_once_and_nothing_has_two_names():
    assert {f"{path.name}" for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"} == set(
        KUSTOMIZATION["resources"]
    )
    assert len({named(it) for it in OBJECTS}) == len(OBJECTS)
    assert set(DEPLOYMENTS) == {"server", "worker", "infer"}
    images = {image["name"] for image in KUSTOMIZATION["images"]}
    for template in DEPLOYMENTS.values():
        assert {box["image"] for box in boxes(template)} <= images


def boxes(template):
    return [*template["spec"].get("initContainers", ()), *template["spec"]["containers"]]


def fits(selector, template):
    return selector.items() <= template["metadata"]["labels"].items()


def test_selectors_find_their_pods_and_ports():
    for it in of_kind("Deployment"):
        assert fits(it["spec"]["selector"]["matchLabels"], it["spec"]["template"])
    for it in [*of_kind("PodDisruptionBudget"), *of_kind("NetworkPolicy")]:
        labels = it["spec"].get("selector", it["spec"].get("podSelector"))["matchLabels"]
        assert any(fits(labels, template) for template in DEPLOYMENTS.values()), named(it)
    for it in of_kind("Service"):
        found = [template for template in DEPLOYMENTS.values() if fits(it["spec"]["selector"], template)]
        assert len(found) == 1
        ports = {port["name"] for port in found[0]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in it["spec"]["ports"]} <= ports
    for it in of_kind("HorizontalPodAutoscaler"):
        assert it["spec"]["scaleTargetRef"]["name"] in DEPLOYMENTS
    backend = of_kind("Ingress")[0]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    service = next(it for it in of_kind("Service") if it["metadata"]["name"] == backend["name"])
    assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


def test_settings_are_known_and_secrets_are_taken_by_reference():
    known = set(setting_names())
    plain = of_kind("ConfigMap")[0]["data"]
    assert plain["CROSSTALK_ACCESS__REQUIRED"] == "true"
    for template in DEPLOYMENTS.values():
        for box in template["spec"]["containers"]:
            for one in box["env"]:
                assert one["name"] in known
                secret = re.search(r"TOKEN|STORE__URL|PASSWORD|SECRET", one["name"])
                assert bool(secret) is ("valueFrom" in one), one["name"]
                if secret:
                    assert one["valueFrom"]["secretKeyRef"]["name"] == "crosstalk"
    assert set(plain) <= known
    assert not any(re.search(r"TOKEN|STORE__URL|PASSWORD|SECRET", name) for name in plain)
    assert not of_kind("Secret")


@pytest.mark.parametrize("name", sorted(DEPLOYMENTS))
def test_pods_have_no_rights_and_write_to_their_volumes_only(name):
    spec = DEPLOYMENTS[name]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] == 10001
    assert spec["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in spec["volumes"]}
    claims = {it["metadata"]["name"] for it in of_kind("PersistentVolumeClaim")}
    for volume in spec["volumes"]:
        assert volume.get("persistentVolumeClaim", {}).get("claimName") in {None, *claims}
    for box in boxes(DEPLOYMENTS[name]):
        assert box["securityContext"]["readOnlyRootFilesystem"] is True
        assert box["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in box["volumeMounts"]} <= volumes
        assert box["resources"]["limits"]["memory"]
        assert box["command"][0] == "crosstalk"


def test_there_is_time_to_drain():
    settings = Settings()
    server = DEPLOYMENTS["server"]["spec"]
    pause_s = int(server["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    needed_s = pause_s + settings.live.drain_s + settings.server.shutdown_timeout_s
    assert server["terminationGracePeriodSeconds"] >= needed_s + 10
    assert DEPLOYMENTS["worker"]["spec"]["terminationGracePeriodSeconds"] >= settings.jobs.drain_s + 10
    rolling = next(it for it in of_kind("Deployment") if it["metadata"]["name"] == "server")["spec"]["strategy"]
    assert rolling["rollingUpdate"]["maxUnavailable"] == 0
    probes = server["containers"][0]
    # A server that is full still has transcripts to give, and every server may be full.
    assert probes["readinessProbe"]["httpGet"]["path"] == "/readyz?ignore=full"
    assert probes["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_autoscaling_is_on_figures_that_there_are_and_the_ingress_fits_the_limits():
    figures = (ROOT / "docs" / "observability.md").read_text()
    for it in of_kind("HorizontalPodAutoscaler"):
        for metric in it["spec"]["metrics"]:
            source = metric[metric["type"].lower()]
            assert f"`{source['metric']['name']}`" in figures
    names = {metric["pods"]["metric"]["name"] for metric in metrics_of("server")}
    assert "crosstalk_live_backlog_seconds" in names
    notes = of_kind("Ingress")[0]["metadata"]["annotations"]
    balancer = (DEPLOY / "nginx" / "server.conf").read_text()
    assert f"client_max_body_size {notes['nginx.ingress.kubernetes.io/proxy-body-size']};" in balancer
    assert f"proxy_read_timeout {notes['nginx.ingress.kubernetes.io/proxy-read-timeout']}s;" in balancer


def metrics_of(name):
    it = next(it for it in of_kind("HorizontalPodAutoscaler") if it["metadata"]["name"] == name)
    return it["spec"]["metrics"]
