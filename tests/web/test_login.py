"""The pages on a server that asks for keys: the card for the key, then recordings, sound, files and captions."""

from __future__ import annotations

import asyncio

import pytest

from app.access import Access, AccessRules, NewKey
from app.main import create_app
from app.settings import AccessGroup, Settings
from app.store import open_database
from app.wiring import store_url
from tests.engine.fake_worker import fake_engine
from tests.web.serving import serving

pytestmark = pytest.mark.browser

SHOWN = "document.querySelector('dialog.login')?.open"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    """(server, key)."""
    chosen = Settings(data_dir=tmp_path_factory.mktemp("login"), access=AccessGroup(required=True))
    engine = fake_engine()
    with serving(create_app(chosen, engine)) as served:
        database = open_database(store_url(chosen))
        yield served, Access(database, AccessRules()).keys.create(NewKey("page", "one"))[0]
        database.close()
    asyncio.run(engine.aclose())


def log_in(tab, key):
    tab.wait(SHOWN)
    tab.type(key)
    tab.press("Enter")


def test_a_key_is_asked_for_and_opens_recordings_their_sound_and_files(browser, keyed, voices, tmp_path):
    served, key = keyed
    tab = browser.tab()
    tab.screen(1200, 800)
    tab.open(served.url + "/recordings")
    log_in(tab, "wrong")
    tab.wait("document.querySelector('dialog.login')?.innerText.includes('not valid any more')")
    log_in(tab, key)
    tab.wait(f"!{SHOWN} && !document.getElementById('none').hidden")
    tab.choose_file("#file", voices)
    tab.wait("[...document.querySelectorAll('#items .about')].some((it) => it.textContent.includes('Ready'))")
    tab.click("#items a.title")
    tab.wait("document.querySelectorAll('.word').length > 5")
    tab.wait("document.getElementById('audio').duration > 5")
    link = "document.querySelector('#downloads a').href"
    for _ in range(2):
        assert tab.run(f"fetch({link}).then((it) => it.status)") == 200
    assert key not in tab.run(link)
    assert all(key not in url for url in tab.requests)
    tab.call("Page.close")


def test_captions_with_a_key_and_a_link_that_needs_none(browser, keyed, voices):
    served, key = keyed
    tab = browser.tab()
    tab.open(served.url + "/")
    tab.run("document.getElementById('pace').value = 'fast'")
    tab.choose_file("#file", voices)
    log_in(tab, key)
    tab.wait("document.body.dataset.state === 'done'")
    assert "alpha" in tab.text()
    assert "Content Security" not in " ".join(tab.console)
    link = tab.run(
        """new Promise((resolve) => { navigator.clipboard.writeText = async (text) => resolve(text);
        document.getElementById("share").click(); })"""
    )
    viewer = browser.tab()
    viewer.open(link)
    viewer.wait("document.getElementById('captions').innerText.includes('alpha')")
    assert not viewer.run(SHOWN)
    assert viewer.console == []
    for it in (tab, viewer):
        it.call("Page.close")
