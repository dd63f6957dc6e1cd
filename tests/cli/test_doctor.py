"""`crosstalk doctor`: what it finds, what it says to do, and its exit status."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest
import sqlalchemy as sa
import uvicorn

from app.access import Access, AccessRules, NewKey
from app.audio import codecs
from app.cli.checks import machine
from app.cli.checks.machine import usable_memory
from app.cli.checks.store import file_system
from app.cli.main import main
from app.engine.infer_app import create_infer_app
from app.engine.infer_rules import InferRules
from app.store import migrate, open_database
from tests.engine.fake_worker import fake_engine
from tests.running import free_port, running
from tests.transport.server import wait_until


@pytest.fixture(scope="module")
def worker():
    """The URL of an inference worker that wants a token."""
    app = create_infer_app(fake_engine(), InferRules(token="right"))
    with running(uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", ws="none"))) as url:
        yield url


@pytest.fixture
def doctor(monkeypatch, tmp_path, capfdbinary, worker):
    """doctor(SERVER__PORT="1", ...) -> (exit status, name -> (state, message, advice)); a sound installation else."""
    for name in list(os.environ):
        if name.upper().startswith("CROSSTALK_"):
            monkeypatch.delenv(name)
    sound = {
        "DATA_DIR": str(tmp_path / "data"),
        "SERVER__PORT": "0",
        "ENGINE__KIND": "http",
        "ENGINE__URLS": json.dumps([worker]),
        "ENGINE__TOKEN": "right",
    }

    def run(**settings):
        with monkeypatch.context() as patch:
            for name, value in (sound | settings).items():
                patch.setenv(name if name == "CROSSTALK_CONFIG" else f"CROSSTALK_{name}", value)
            status = main(["doctor", "--json"])
        answer = json.loads(capfdbinary.readouterr().out)
        found = {it["name"]: (it["state"], it["message"], it["advice"]) for it in answer["checks"]}
        assert answer["status"] == max((it[0] for it in found.values()), key=["ok", "warn", "fail"].index)
        assert all((advice is None) == (state == "ok") for state, _, advice in found.values())
        assert (status == 4) == (answer["status"] == "fail")
        return status, found

    return run


def test_a_sound_installation_is_well_and_nothing_is_left_behind(doctor, tmp_path, worker):
    wait_until(lambda: doctor()[1]["workers"][0] == "ok", 30)
    status, found = doctor()
    assert (status, {it[0] for it in found.values()}) == (0, {"ok"})
    assert {"cores", "memory", "data", "media", "store", "sound", "port", "access", "tls"} <= set(found)
    assert not [it for it in (tmp_path / "data").rglob("*") if it.is_file()]


def test_people_read_what_to_do_below_what_is_wrong(monkeypatch, tmp_path, capfdbinary):
    monkeypatch.setenv("CROSSTALK_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CROSSTALK_WEIGHTS_DIR", str(tmp_path / "weights"))
    monkeypatch.setenv("CROSSTALK_ENGINE__DECODER", "sot")
    assert main(["doctor"]) == 4
    text = capfdbinary.readouterr().out.decode()
    assert "FAIL  weights   segmentation, " in text
    assert "-> crosstalk models fetch --profile sot\n" in text
    assert text.endswith("faults: 1, warnings: 0\n")


def test_weights_that_are_damaged_or_not_named(doctor, tmp_path):
    folder = tmp_path / "weights" / "pyannote-segmentation-3.0"
    folder.mkdir(parents=True)
    (folder / "pytorch_model.bin").write_bytes(b"broken")
    local = {"ENGINE__KIND": "local", "WEIGHTS_DIR": str(tmp_path / "weights")}
    state, said, advice = doctor(**local)[1]["weights"]
    assert (state, advice) == ("fail", "crosstalk models fetch")
    assert "segmentation" in said
    assert "not the bytes" in said
    assert doctor(**local, ENGINE__DEVICE="cuda:99")[1]["gpu"][0] == "fail"
    assert doctor(**local, ENGINE__DECODER="moss")[1]["weights"][0] == "fail"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"ENGINE__URLS": "[]"}, "no inference workers"),
        ({"ENGINE__TOKEN": "wrong"}, "another token"),
        ({"ENGINE__URLS": '["http://127.0.0.1:1"]'}, "http://127.0.0.1:1"),
    ],
)
def test_workers_that_do_not_answer(doctor, settings, said):
    state, message, _ = doctor(**settings)[1]["workers"]
    assert state == "fail"
    assert said in message


def test_a_data_folder_that_cannot_be(doctor):
    found = doctor(DATA_DIR="/dev/null/data")[1]
    assert (found["data"][0], found["sound"][0]) == ("fail", "fail")


def test_stores_that_cannot_be_used(doctor, tmp_path):
    assert doctor(STORE__URL="postgresql://nobody@127.0.0.1:1/none")[1]["store"][0] == "fail"
    assert doctor(STORE__URL="mysql://x/y")[1]["store"][0] == "fail"
    path = tmp_path / "data" / "crosstalk.sqlite"
    database = open_database(f"sqlite:///{path}")
    migrate(database, "0003")
    assert doctor()[1]["schema"][0] == "warn"
    state, _, advice = doctor(STORE__AUTO_MIGRATE="false")[1]["schema"]
    assert (state, advice) == ("fail", "crosstalk migrate upgrade")
    migrate(database)
    assert doctor()[1]["schema"][0] == "ok"
    with database.write() as connection:
        connection.execute(sa.text("update alembic_version set version_num = '9999'"))
    assert doctor()[1]["schema"][0] == "warn"
    with database.write() as connection:
        connection.execute(sa.text("update schema_compatible set since = '9999'"))
    assert doctor()[1]["schema"][0] == "fail"
    database.close()
    path.write_bytes(b"no database" * 1000)
    assert doctor()[1]["store"][0] == "fail"


def test_postgresql_is_asked(doctor, postgres):
    url = postgres.database()
    found = doctor(STORE__URL=url, ACCESS__REQUIRED="true")[1]
    assert found["store"][:1] == ("ok",)
    assert "PostgreSQL" in found["store"][1]
    assert (found["schema"][0], found["keys"][0]) == ("warn", "warn")
    database = open_database(url)
    migrate(database)
    assert doctor(STORE__URL=url, ACCESS__REQUIRED="true")[1]["keys"][2] == "crosstalk keys create --name NAME"
    Access(database, AccessRules()).keys.create(NewKey("one"))
    assert doctor(STORE__URL=url, ACCESS__REQUIRED="true")[1]["keys"][0] == "ok"
    database.close()


def test_a_taken_port_and_one_that_is_taken_by_crosstalk(doctor, worker):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert doctor(SERVER__PORT=port)[1]["port"][0] == "fail"
        assert doctor(METRICS__PORT=port)[1]["metrics"][0] == "fail"
    assert doctor(SERVER__PORT=worker.rpartition(":")[2])[1]["port"][0] == "warn"


def test_what_strangers_reach(doctor, tmp_path):
    found = doctor(SERVER__HOST="0.0.0.0", METRICS__HOST="0.0.0.0", METRICS__PORT=str(free_port()))[1]
    assert (found["access"][0], found["tls"][0], found["metrics"][0]) == ("fail", "warn", "warn")
    assert doctor(SERVER__HOST="0.0.0.0", ACCESS__ALLOW_OPEN="true")[1]["access"][0] == "warn"
    assert doctor(ACCESS__REQUIRED="true")[1]["keys"][0] == "warn"
    assert doctor(SERVER__TLS_CERTFILE=str(tmp_path / "none"))[1]["tls"][0] == "fail"
    assert doctor(WEBHOOKS__SECRET="short")[1]["webhooks"][0] == "fail"


def test_settings_that_are_wrong_or_readable_by_others(doctor, tmp_path):
    status, found = doctor(SERVER__PROT="1")
    assert (status, list(found)) == (4, ["settings"])
    assert "CROSSTALK_SERVER__PORT" in found["settings"][1]
    file = tmp_path / "crosstalk.toml"
    file.write_text('[metrics]\ntoken = "secret"\n')
    file.chmod(0o644)
    assert doctor(CROSSTALK_CONFIG=str(file))[1]["settings"][0] == "warn"
    file.chmod(0o600)
    assert doctor(CROSSTALK_CONFIG=str(file))[1]["settings"][0] == "ok"


def test_a_container_is_as_large_as_its_limits(tmp_path):
    limit, machine = (tmp_path / name for name in ("memory.max", "meminfo"))
    machine.write_text("MemTotal:        4096 kB\nMemFree: 1 kB\n")
    assert usable_memory(limit, machine) == 4096 * 1024
    limit.write_text("max\n")
    assert usable_memory(limit, machine) == 4096 * 1024
    limit.write_text("1024\n")
    assert usable_memory(limit, machine) == 1024
    assert usable_memory(tmp_path / "none", tmp_path / "none") is None


def test_the_file_system_is_that_of_the_nearest_mount(tmp_path):
    mounts = tmp_path / "mounts"
    mounts.write_text("none / ext4 rw 0 0\nhost:/x /data nfs4 rw 0 0\n")
    assert file_system(tmp_path.joinpath("/data/store/crosstalk.sqlite"), mounts) == "nfs4"
    assert file_system(tmp_path.joinpath("/database"), mounts) == "ext4"
    assert file_system(tmp_path, tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("cuda", "driver", "state", "word"),
    [
        (None, False, "ok", "CPU"),
        ("13.0", False, "ok", "no driver"),
        (None, True, "warn", "CUDA build"),
        ("13.0", True, "warn", "knows CUDA 13.0"),
    ],
)
def test_a_gpu_that_torch_does_not_find(doctor, monkeypatch, cuda, driver, state, word):
    monkeypatch.setattr(machine, "gpu_names", tuple)
    monkeypatch.setattr(machine, "choose_device", lambda _: "cpu")
    monkeypatch.setattr(machine, "cuda_build", lambda: cuda)
    monkeypatch.setattr(machine.shutil, "which", lambda _: "nvidia-smi" if driver else None)
    found = doctor(ENGINE__KIND="local")[1]["gpu"]
    assert found[0] == state
    assert word in f"{found[1]} {found[2]}"


def test_a_certificate_and_a_key_that_do_not_belong_together(doctor, tmp_path):
    make = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -days 1 -keyout {0}.key -out {0}.crt"
    for name in ("one", "two"):
        subprocess.run(make.format(name).split(), cwd=tmp_path, check=True, capture_output=True)
    one = {"SERVER__TLS_CERTFILE": str(tmp_path / "one.crt"), "SERVER__TLS_KEYFILE": str(tmp_path / "one.key")}
    assert doctor(**one)[1]["tls"][0] == "ok"
    assert doctor(**(one | {"SERVER__TLS_KEYFILE": str(tmp_path / "two.key")}))[1]["tls"][0] == "fail"
    (tmp_path / "one.crt").write_text("nothing")
    assert doctor(**one)[1]["tls"][0] == "fail"


def test_traces_that_cannot_be_sent(doctor, worker, monkeypatch):
    assert "traces" not in doctor()[1]
    assert doctor(TRACES__ENDPOINT=f"{worker}/v1/traces")[1]["traces"][0] == "ok"
    assert doctor(TRACES__ENDPOINT="http://127.0.0.1:1/v1/traces")[1]["traces"][0] == "warn"
    assert doctor(TRACES__ENDPOINT="collector")[1]["traces"][0] == "fail"
    monkeypatch.setitem(sys.modules, "app.telemetry.traces", None)
    assert "otel" in doctor(TRACES__ENDPOINT=f"{worker}/v1/traces")[1]["traces"][2]


def test_decoders_are_looked_for(monkeypatch):
    assert codecs.missing_decoders() == ()
    monkeypatch.setattr(codecs, "NEEDED", ("opus", "telepathy"))
    assert codecs.missing_decoders() == ("telepathy",)
