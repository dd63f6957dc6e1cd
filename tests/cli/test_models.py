"""`crosstalk models`: what is listed, and what fetching says."""

from __future__ import annotations

from models.registry import load_registry


def test_missing_weights_are_listed_with_licence_and_source(crosstalk, tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTALK_WEIGHTS_DIR", str(tmp_path / "none"))
    result = crosstalk("models")
    assert result.status == 0
    rows = result.out.splitlines()
    assert rows[0].split() == ["NAME", "ROLE", "STATE", "SIZE", "LICENCE", "SOURCE"]
    for weight, row in zip(load_registry().files, rows[1:], strict=False):
        assert row.split()[:3] == [weight.name, weight.role, "missing"]
        assert weight.licence in row
        assert str(weight.sources[0]) in row


def test_a_damaged_file_is_called_so(crosstalk, tmp_path, monkeypatch):
    weight = load_registry().files[0]
    path = weight.path(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    monkeypatch.setenv("CROSSTALK_WEIGHTS_DIR", str(tmp_path))
    assert crosstalk("models").out.splitlines()[1].split()[2] == "damaged"


def test_unknown_names_are_input_errors(crosstalk, tmp_path, monkeypatch):
    monkeypatch.setenv("CROSSTALK_WEIGHTS_DIR", str(tmp_path))
    result = crosstalk("models", "fetch", "nonsense")
    assert result.status == 3
    assert "nonsense" in result.err
