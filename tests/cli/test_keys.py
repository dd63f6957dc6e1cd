"""`crosstalk keys` on a store of its own, and what `serve` says of an address that strangers reach."""

from __future__ import annotations

import pytest

from app.access import Scope
from app.cli.main import main
from app.cli.serve import check_reach, tls_files
from app.errors import SetupError
from app.redact import masked
from app.settings import AccessGroup, ServerGroup, Settings


@pytest.fixture
def keys(monkeypatch, tmp_path, capfdbinary):
    """Runs a command of `crosstalk keys`: (status, stdout)."""
    monkeypatch.setenv("CROSSTALK_DATA_DIR", str(tmp_path))

    def run(*arguments):
        status = main(["keys", *arguments])
        return status, capfdbinary.readouterr().out.decode()

    return run


def test_a_key_is_made_shown_once_rotated_and_revoked(keys):
    status, text = keys("create", "--name", "Ann", "--tenant", "one", "--scope", "read", "--days", "1")
    assert status == 0
    key_id = text.split("_")[1]
    listed = keys("list")[1]
    assert [it in listed for it in (key_id, "works", "one", "Ann")] == [True] * 4
    assert text.strip().split("_", 2)[2] not in listed
    assert keys("rotate", key_id)[0] == 0
    assert "rotated" in keys("list")[1]
    assert keys("revoke", key_id)[0] == 0
    assert "revoked" in keys("list")[1]


@pytest.mark.parametrize("arguments", [("revoke", "0" * 16), ("create", "--name", "x", "--scope", "all")])
def test_what_cannot_be_done_is_one_line(keys, arguments):
    assert keys(*arguments)[0] != 0


def test_an_open_server_for_strangers_is_refused_unless_allowed(caplog):
    for host in ("0.0.0.0", "::", "192.168.1.5", "crosstalk.example"):
        server = ServerGroup(host=host)
        with pytest.raises(SetupError, match="API keys"):
            check_reach(Settings(server=server))
        check_reach(Settings(server=server, access=AccessGroup(required=True)))
        check_reach(Settings(server=server, access=AccessGroup(allow_open=True)))
        assert "EVERYBODY" in caplog.text
    for host in ("127.0.0.1", "::1", "localhost"):
        check_reach(Settings(server=ServerGroup(host=host)))


def test_half_of_a_certificate_is_refused(tmp_path):
    with pytest.raises(SetupError, match="HTTPS"):
        tls_files(Settings(server=ServerGroup(tls_certfile=tmp_path / "none.pem")))
    assert tls_files(Settings()) == {}


def test_secrets_in_log_lines_are_masked():
    key = "ctk_0123456789abcdef_" + "a" * 43
    line = masked(f'GET /v1/live/1/view?share=abc&token=def HTTP/1.1 "{key}"')
    assert line == 'GET /v1/live/1/view?share=***&token=*** HTTP/1.1 "ctk_0123456789abcdef_***"'
    assert set(Scope) == {"transcribe", "live", "read", "admin"}
