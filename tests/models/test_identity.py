"""The identity of loaded models: equal only for the same weights, run the same way."""

from __future__ import annotations

from pathlib import Path

from models.identity import WatchedRegistry, identity_of_weights
from models.registry import load_registry


def test_a_watched_registry_notes_what_is_taken() -> None:
    registry = load_registry()
    watched = WatchedRegistry.of(registry)
    assert watched.used == {}
    assert watched.one("segmentation") == registry.one("segmentation")
    watched.one("voice")
    assert list(watched.used) == ["segmentation", "voice"]


def test_the_identity_depends_on_weights_files_and_how_they_run(tmp_path: Path) -> None:
    registry = load_registry()
    one, two = ({name: registry.one(name) for name in names} for names in (["segmentation"], ["segmentation", "voice"]))
    file = tmp_path / "adapter"
    file.write_bytes(b"a")
    found = {
        identity_of_weights(one, [], ["cascade", "float32"]),
        identity_of_weights(two, [], ["cascade", "float32"]),
        identity_of_weights(one, [], ["cascade", "float16"]),
        identity_of_weights(one, [file], ["cascade", "float32"]),
    }
    file.write_bytes(b"b")
    found.add(identity_of_weights(one, [file], ["cascade", "float32"]))
    assert len(found) == 5
    # The order in which they were loaded does not matter.
    backwards = dict(reversed(two.items()))
    assert identity_of_weights(backwards, [], ["cascade", "float32"]) in found
