"""The page, the server and the engine together: two voices at the microphone of a real browser."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager

import pytest

from app.main import create_app
from app.settings import Settings
from tests.engine.fake_worker import VOCABULARY, fake_engine
from tests.web.serving import serving

pytestmark = pytest.mark.browser

TWO_SPEAKERS = """new Set([...document.querySelectorAll('.segment:not(.open)')]
    .map((it) => it.closest('.lane').querySelector('[data-name-of]').dataset.nameOf)).size >= 2"""


@contextmanager
def server(folder, wrap=lambda app: app, **groups):
    engine = fake_engine()
    with serving(wrap(create_app(Settings(data_dir=folder / "data", **groups), engine))) as it:
        yield it
    asyncio.run(engine.aclose())


@pytest.fixture
def served(tmp_path):
    with server(tmp_path) as it:
        yield it


def without_viewers_sockets(app):
    """A network that lets no viewer's WebSocket through, like many a proxy."""

    async def wrapped(scope, receive, send):
        if scope["type"] == "websocket" and scope["path"].endswith("/view"):
            await receive()
            await send({"type": "websocket.close"})
        else:
            await app(scope, receive, send)

    return wrapped


def link_of(tab):
    """The link for viewers, as the page copies it."""
    return tab.run(
        """new Promise((resolve) => { navigator.clipboard.writeText = async (text) => resolve(text);
        document.getElementById("share").click(); })"""
    )


def test_two_voices_are_captioned_named_saved_and_followed(browser, served, downloads):
    tab = browser.tab()
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
    tab.open(served.url + "/")
    tab.click("#begin")
    tab.wait(TWO_SPEAKERS)
    tab.click("#captions .lane button.name")
    tab.type("Maya")
    tab.press("Enter")
    tab.wait("document.querySelector('#speakers').textContent.includes('Maya')")
    viewer = browser.tab()
    viewer.open(link_of(tab))
    viewer.wait(TWO_SPEAKERS)
    assert "Maya" in viewer.text()
    tab.call("Page.bringToFront")
    tab.click("#stop")
    tab.wait("document.body.dataset.state === 'done'")
    tab.click("[data-download=txt]")
    tab.wait("true")
    said = tab.run("[...document.querySelectorAll('#captions .segment')].map((it) => it.textContent).join(' ')").split()
    # Where the file begins again at the microphone a word may be cut; all others are the script's.
    assert len(said) >= 18
    assert set(said) <= set(VOCABULARY)
    while not (files := [path for path in downloads.glob("*.txt") if path.stat().st_size]):
        tab.run("new Promise((resolve) => setTimeout(resolve, 50))")
    saved = files[0].read_text(encoding="utf-8")
    assert "Maya: " in saved
    assert "Speaker " in saved
    assert tab.console == []
    assert viewer.console == []


def test_where_no_sockets_get_through_a_viewer_follows_by_events(browser, tmp_path):
    with server(tmp_path, without_viewers_sockets) as served:
        tab = browser.tab()
        tab.open(served.url + "/")
        tab.click("#begin")
        tab.wait(TWO_SPEAKERS)
        viewer = browser.tab()
        viewer.open(link_of(tab))
        viewer.wait("document.body.dataset.state === 'open'")
        viewer.wait(TWO_SPEAKERS)
        assert any("/events?" in url for url in viewer.requests)
        tab.call("Page.bringToFront")
        tab.click("#stop")
        viewer.wait("document.body.dataset.state === 'done'")
        tab.wait("document.body.dataset.state === 'done'")
        captions = "document.getElementById('captions').textContent"  # also of what is off the screen
        assert viewer.run(captions) == tab.run(captions)


def test_a_wrong_link_is_said_to_be_wrong_once_and_for_all(browser, served):
    viewer = browser.tab()
    viewer.open(served.url + "/#view=nobody&share=wrong")
    viewer.wait("document.body.dataset.state === 'failed'")
    assert "wrong, or it has expired" in viewer.text()
    asked = len(viewer.requests)
    viewer.run("new Promise((resolve) => setTimeout(resolve, 1500))")  # a second try would have come by now
    assert len(viewer.requests) == asked


def test_a_full_server_is_said_to_be_full_and_is_tried_again(browser, tmp_path):
    with server(tmp_path, live={"max_sessions": 1}) as served:
        first, second = browser.tab(), browser.tab()
        first.open(served.url + "/")
        first.click("#begin")
        first.wait("document.body.dataset.state === 'open'")
        second.open(served.url + "/")
        second.call("Page.bringToFront")
        second.click("#begin")
        second.wait(
            "/^The server is full.*Trying again in 10 s/.test(document.getElementById('status-text').textContent)"
        )
        first.call("Page.bringToFront")
        first.click("#stop")
        first.wait("document.body.dataset.state === 'done'")
        second.call("Page.bringToFront")
        second.click("#retry")
        second.wait("document.body.dataset.state === 'open'")
        second.click("#stop")
        second.wait("document.body.dataset.state === 'done'")
