"""The page, the server and the engine together: two voices at the microphone of a real browser."""

from __future__ import annotations

import asyncio

import pytest

from app.main import create_app
from app.settings import Settings
from tests.engine.fake_worker import VOCABULARY, fake_engine
from tests.web.serving import serving

pytestmark = pytest.mark.browser

TWO_SPEAKERS = """new Set([...document.querySelectorAll('.segment:not(.open)')]
    .map((it) => it.closest('.lane').querySelector('[data-name-of]').dataset.nameOf)).size >= 2"""


@pytest.fixture
def served(tmp_path):
    engine = fake_engine()
    with serving(create_app(Settings(data_dir=tmp_path / "data"), engine)) as it:
        yield it
    asyncio.run(engine.aclose())


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
    link = tab.run(
        """new Promise((resolve) => { navigator.clipboard.writeText = async (text) => resolve(text);
        document.getElementById("share").click(); })"""
    )
    viewer = browser.tab()
    viewer.open(link)
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
