"""The recordings page in a real browser: list, upload, and the reader with the sound in step."""

from __future__ import annotations

import pytest

from tests.transport.server import wait_until
from tests.web.fake_recordings import FakeRecordings
from tests.web.serving import serving

pytestmark = pytest.mark.browser

ITEMS = "document.querySelectorAll('#items .item').length"


@pytest.fixture
def fake(voices):
    return FakeRecordings(voices)


@pytest.fixture
def tab(browser, fake):
    with serving(fake.app) as served:
        tab = browser.tab()
        tab.screen(1200, 800)
        tab.open(served.url + "/recordings")
        tab.wait(f"{ITEMS} === 4")
        yield tab
        own = (served.url, "data:")  # the browser's own player draws its buttons from data:
        assert [url for url in tab.requests if not url.startswith(own)] == []
        tab.call("Page.close")


def read(tab):
    tab.click('a[href="#rec_1"]')
    tab.wait("document.querySelectorAll('.word').length > 20")


def test_the_list_says_how_things_stand(tab):
    text = tab.run("document.getElementById('items').innerText")
    for words in ("Waiting", "Transcribing · 3:30 of 10:00 · about 3:15 left", "Ready", "The file holds no sound."):
        assert words in text
    assert tab.run("document.querySelectorAll('#items progress').length") == 2
    tab.screen(320, 640, phone=True)
    assert tab.run("document.documentElement.scrollWidth") <= 320
    assert tab.console == []


def test_a_file_is_uploaded_and_listed(tab, fake, voices):
    tab.choose_file("#file", voices)
    tab.wait(f"{ITEMS} === 5")
    assert tab.run("document.querySelector('#items .title').textContent") == "voices.wav"
    assert tab.run("document.querySelectorAll('#uploads .item').length") == 0
    assert fake.files == [voices.read_bytes()]
    assert tab.run("localStorage.length") == 0


def test_an_upload_goes_on_after_a_break(tab, fake, voices):
    fake.breaks = [100_000, -1, 0]
    tab.choose_file("#file", voices)
    tab.wait(f"{ITEMS} === 5")
    assert fake.files == [voices.read_bytes()]
    whole = len(fake.files[0])
    assert fake.parts == [(0, 100_000), (100_000, 0), (100_000, 0), (100_000, whole - 100_000)]


def test_an_upload_goes_on_after_the_page_was_closed(tab, fake, voices):
    fake.breaks = [100_000, *[-1] * 100]
    tab.choose_file("#file", voices)
    about = "(document.querySelector('#uploads .about')?.textContent ?? '')"
    tab.wait(f"{about}.endsWith('28 % has arrived; the rest is sent as soon as it can be.')")
    tab.open(tab.run("location.href"))
    tab.wait(f"{about} === 'Broke off at 28 %. Add the same file again, and it goes on there.'")
    fake.breaks = []
    tab.choose_file("#file", voices)
    tab.wait(f"{ITEMS} === 5")
    assert fake.files == [voices.read_bytes()]
    assert fake.parts[0] == (0, 100_000)
    assert {at for at, _ in fake.parts[1:]} == {100_000}
    assert tab.run("document.querySelectorAll('#uploads .item').length") == 0


def test_an_upload_that_is_stopped_or_dropped_leaves_nothing(tab, fake, voices):
    fake.breaks = [-1] * 100
    tab.choose_file("#file", voices)
    about = "(document.querySelector('#uploads .about')?.textContent ?? '')"
    tab.wait(f"{about}.includes('has arrived')")
    tab.click("#uploads button")
    tab.wait(f"{about} === 'Stopped.'")
    tab.wait("localStorage.length === 0")
    wait_until(lambda: not fake.uploads)
    tab.click("#uploads button")
    tab.choose_file("#file", voices)
    tab.wait(f"{about}.includes('has arrived')")
    tab.open(tab.run("location.href"))
    tab.wait(f"{about}.startsWith('Broke off at 0 %')")
    tab.click("#uploads button")
    tab.wait("document.querySelectorAll('#uploads .item').length + localStorage.length === 0")
    wait_until(lambda: not fake.uploads)


def test_an_upload_that_the_server_has_forgotten_begins_anew(tab, fake, voices):
    fake.breaks = [100_000, *[-1] * 100]
    tab.choose_file("#file", voices)
    tab.wait("(document.querySelector('#uploads .about')?.textContent ?? '').includes('28 %')")
    fake.uploads.clear()
    fake.breaks = []
    tab.wait(f"{ITEMS} === 5")
    assert fake.files == [voices.read_bytes()]


def test_a_full_queue_is_said_and_the_file_is_sent_when_there_is_room(tab, fake, voices):
    about = "document.querySelector('#uploads .about')?.textContent"
    fake.early = [("queue_full", 2)]
    fake.refusals = [("queue_full", 2), ("queue_limit_reached", 600)]
    tab.choose_file("#file", voices)
    rest, place = "keep the page open.", "The file has arrived, and takes its place in about"
    full = "Too many recordings are waiting on this server."
    tab.wait(f"{about} === '{full} This one is sent in about 2 s; {rest}'")
    tab.wait(f"{about} === '{full} {place} 2 s; {rest}'")
    tab.wait(f"{about} === 'Too many of your recordings are waiting. {place} 10 min; {rest}'")
    tab.click("#uploads button")
    tab.wait(f"{about} === 'Stopped.'")
    tab.click("#uploads button")
    fake.refusals = [("queue_full", 1)]
    tab.choose_file("#file", voices)
    tab.wait(f"{ITEMS} === 5")
    assert tab.run("document.querySelectorAll('#uploads .item').length") == 0


def test_cancel_reaches_the_server(tab, fake):
    tab.click("#items li:nth-child(2) button")
    tab.wait("document.querySelector('#items li:nth-child(2)').innerText.includes('Cancelled')")
    assert fake.items[1]["state"] == "cancelled"


def test_a_word_that_is_clicked_is_heard(tab):
    read(tab)
    tab.click(".word:nth-child(3)")
    tab.wait(
        "document.getElementById('audio').played.length > 0 && document.getElementById('audio').currentTime >= 1.1"
    )
    tab.wait("!!document.querySelector('.word.playing')")
    assert tab.console == []


def test_names_and_text_are_changed(tab, fake):
    read(tab)
    tab.click("#captions button.name")
    tab.type("Maya")
    tab.press("Enter")
    tab.wait("document.getElementById('speakers').textContent.includes('Maya')")
    tab.click("#edit")
    tab.run("document.querySelector('[data-id=s1]').focus()")
    tab.run("document.querySelector('[data-id=s1]').textContent = 'No.'")
    tab.run("document.querySelector('[data-id=s1]').blur()")
    tab.wait("document.getElementById('status-text').textContent === 'Saved'")
    tab.wait("document.querySelector('[data-id=s1]').textContent === 'No.'")
    assert fake.edits == [{"speakers": {"0": "Maya"}}, {"segments": {"s1": {"text": "No."}}}]


def test_a_change_by_somebody_else_is_said_and_shown(tab, fake):
    read(tab)
    fake.names[1], fake.revision = "Bo", 7
    tab.click("#captions button.name")
    tab.type("Maya")
    tab.press("Enter")
    tab.wait("document.getElementById('status-text').textContent.startsWith('Somebody else changed')")
    assert "Bo" in tab.run("document.getElementById('speakers').textContent")
    assert fake.edits == []


def test_search_marks_what_it_finds(tab):
    read(tab)
    tab.run("document.getElementById('search').focus()")
    tab.type("budget")
    tab.wait("document.getElementById('hits').textContent === '1 found'")
    assert "budget" in tab.run("document.querySelector('.segment.hit').textContent")
    tab.click(".back")
    tab.wait("document.getElementById('reader').hidden")
