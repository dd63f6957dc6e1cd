"""The routes of the pages: every file that a page names is there, nothing is inline, browsers are told to stay here."""

from __future__ import annotations

import re

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from app.transport.pages import WEB_DIR, make_router, read_files

PAGES = sorted(path.name for path in WEB_DIR.glob("*.html"))


@pytest.fixture(scope="module")
def web():
    app = FastAPI()
    app.include_router(make_router())
    return TestClient(app)


def served_paths():
    return ["/" if name == "index.html" else f"/{name.removesuffix('.html')}" for name in PAGES]


@pytest.mark.parametrize("path", served_paths())
def test_a_page_and_all_that_it_loads(web, path):
    page = web.get(path)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.text)
    assert len(loaded) >= 4
    for name in loaded:
        assert web.get(name).status_code == 200, name


@pytest.mark.parametrize("name", [name for name in read_files(WEB_DIR) if name.endswith(".js")])
def test_modules_import_what_exists(name):
    folder = (WEB_DIR / name).parent
    for imported in re.findall(r'(?:from|import) "(\./[^"]+)"', (WEB_DIR / name).read_text()):
        assert (folder / imported).is_file(), imported


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_inline_and_nothing_is_foreign(name):
    text = (WEB_DIR / name).read_text()
    assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=", text)
    assert not re.search(r"https?://", text)


@pytest.mark.parametrize("path", ["/", "/static/js/live.js", "/static/css/base.css"])
def test_the_browser_is_told_to_stay_here(web, path):
    headers = web.get(path).headers
    policy = dict(it.split(" ", 1) for it in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_a_known_file_is_not_sent_again(web):
    first = web.get("/static/js/live.js")
    again = web.get("/static/js/live.js", headers={"If-None-Match": f'"other", W/{first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert web.get("/static/js/live.js", headers={"If-None-Match": '"other"'}).status_code == 200


def test_head_has_no_body(web):
    answer = web.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 1000


@pytest.mark.parametrize("path", ["/static/", "/static/nothing.js", "/static/../pages.py", "/static/%2e%2e/pages.py"])
def test_nothing_else_is_served(web, path):
    assert web.get(path).status_code == 404


def test_an_unknown_kind_of_file_is_refused(tmp_path):
    (tmp_path / "secret.key").write_text("x")
    with pytest.raises(ValueError, match=r"secret\.key"):
        make_router(tmp_path)
