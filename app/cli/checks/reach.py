"""Ports, and who can reach them with what."""

from __future__ import annotations

import contextlib
import ipaddress
import ssl
from collections.abc import Iterator

import httpx2
from sqlalchemy.exc import DBAPIError

from app.access import Access, AccessRules
from app.cli.checks.finding import Finding, fail, ok, warn
from app.cli.checks.store import sqlite_file
from app.cli.serve import is_loopback, listen_on, tls_files
from app.errors import CrosstalkError, SetupError
from app.settings import Settings
from app.settings.load import Loaded, secret_keys
from app.store import open_database
from app.store.migrate import schema
from app.wiring import store_url, webhook_rules

_TIMEOUT_S = 2.0


def check_reach_and_keys(loaded: Loaded) -> Iterator[Finding]:
    """All of it."""
    settings = loaded.settings
    yield _port(settings.server.host, settings.server.port, "port", "CROSSTALK_SERVER__PORT")
    if settings.metrics.enabled and settings.metrics.port:
        yield _port(settings.metrics.host, settings.metrics.port, "metrics", "CROSSTALK_METRICS__PORT")
        if not is_loopback(settings.metrics.host) and not settings.metrics.token:
            said = f"everybody who reaches {settings.metrics.host}:{settings.metrics.port} may read the figures"
            yield warn("metrics", said, "set CROSSTALK_METRICS__TOKEN, or keep the port within")
    yield _exposure(settings)
    if settings.access.required:
        yield _keys(settings)
    yield _tls(settings)
    if settings.webhooks.secret:
        yield _webhooks(settings)
    yield from _file(loaded)


def _port(host: str, port: int, name: str, variable: str) -> Finding:
    where = f"{host}:{port}"
    if port == 0:
        return ok(name, f"{host}, any free port")
    try:
        listen_on(host, port).close()
    except SetupError as error:
        if _is_ours(host, port):
            return warn(name, f"a Crosstalk server answers at {where} already", "stop it before you start another")
        return fail(name, error.message, f"stop what is there, or set {variable}")
    return ok(name, f"{where} is free")


def _is_ours(host: str, port: int) -> bool:
    name = f"[{host}]" if ":" in host else host
    with contextlib.suppress(ValueError):  # a name is no address
        address = ipaddress.ip_address(host)
        if address.is_unspecified:  # every address of this machine: ask one of them
            name = "127.0.0.1" if address.version == 4 else "[::1]"
    try:
        answer = httpx2.get(f"http://{name}:{port}/healthz", timeout=_TIMEOUT_S)
        return answer.status_code == 200 and answer.json().get("status") == "ok"
    except (httpx2.HTTPError, ValueError):
        return False


def _exposure(settings: Settings) -> Finding:
    host, access = settings.server.host, settings.access
    if access.required:
        return ok("access", "API keys are required")
    if is_loopback(host):
        return ok("access", f"no keys are required, and only this machine reaches {host}")
    if access.allow_open:
        said = f"EVERYBODY who reaches {host} may use this server (access.allow_open)"
        return warn("access", said, "set CROSSTALK_ACCESS__REQUIRED=true unless something before it asks who one is")
    said = f"others reach {host}, and no keys are required: crosstalk serve will not start"
    return fail("access", said, "set CROSSTALK_ACCESS__REQUIRED=true (docs/security.md)")


def _keys(settings: Settings) -> Finding:
    advice = "crosstalk keys create --name NAME"
    try:
        file = sqlite_file(store_url(settings))
        if file is not None and not file.exists():
            return warn("keys", "keys are required, and there is none yet", advice)
        database = open_database(store_url(settings))
        try:
            if not schema(database).works:
                return warn("keys", "cannot be told before the schema is up to date", "crosstalk migrate upgrade")
            there = Access(database, AccessRules()).keys.any()
        finally:
            database.close()
    except (CrosstalkError, DBAPIError) as error:
        return fail("keys", f"cannot be told: {type(error).__name__}", "mend the store first")
    return ok("keys", "there are API keys") if there else warn("keys", "keys are required, and there is none", advice)


def _tls(settings: Settings) -> Finding:
    try:
        certificate, key = tls_files(settings)
    except SetupError as error:
        return fail("tls", error.message, f"set {error.param}")
    if certificate is not None:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
        except (OSError, ValueError) as error:  # not readable, no certificate, another one's key, a key with a password
            said = f"{certificate} and {key} do not work: {error}"
            return fail("tls", said, "give it a PEM chain and its own key without a password, readable by this user")
        return ok("tls", f"HTTPS with {certificate}")
    if is_loopback(settings.server.host):
        return ok("tls", "plain HTTP, on this machine only")
    advice = "put a load balancer with HTTPS before it, or set CROSSTALK_SERVER__TLS_CERTFILE and TLS_KEYFILE"
    return warn("tls", f"plain HTTP on {settings.server.host}: browsers give no microphone to it", advice)


def _webhooks(settings: Settings) -> Finding:
    try:
        webhook_rules(settings).key()
    except SetupError as error:
        return fail("webhooks", error.message, "set CROSSTALK_WEBHOOKS__SECRET to whsec_ and base64 of 24 random bytes")
    return ok("webhooks", "signed")


def _file(loaded: Loaded) -> Iterator[Finding]:
    if loaded.file is None:
        return
    secrets = sorted(loaded.in_file & (secret_keys() | {"store.url"}))
    mode = loaded.file.stat().st_mode & 0o077
    if secrets and mode:
        said = f"{loaded.file} holds {', '.join(secrets)}, and other users of this machine may read it"
        yield warn("settings", said, f"chmod 600 {loaded.file}")
    else:
        yield ok("settings", f"{loaded.file} and the environment")
