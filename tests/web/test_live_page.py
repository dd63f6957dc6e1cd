"""The live page in a real browser, against a scripted server: everything that a reader does with it."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from app.formats import transcript_json
from tests.web.conftest import write_wav
from tests.web.fake_live import MEETING, FakeLive
from tests.web.serving import serving

pytestmark = pytest.mark.browser

TEXTS = [said.text for said in MEETING]
ALL_FINAL = f"document.querySelectorAll('.segment:not(.open)').length >= {len(MEETING)}"


@pytest.fixture
def fake():
    return FakeLive()


@pytest.fixture
def served(fake):
    with serving(fake.app) as it:
        yield it


@pytest.fixture
def tab(browser, served, downloads):
    """A page that must not complain, and must not ask anybody else for anything."""
    tab = browser.tab()
    tab.screen(1200, 800)
    tab.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
    tab.open(served.url + "/")
    yield tab
    assert tab.console == []
    own = (served.url, served.url.replace("http", "ws"), f"blob:{served.url}")
    assert [url for url in tab.requests if not url.startswith(own)] == []
    tab.call("Page.close")


def start(tab):
    tab.click("#begin")
    tab.wait("document.body.dataset.state === 'open'")


def stop(tab):
    tab.click("#stop")
    tab.wait("document.body.dataset.state === 'done'")


def downloaded(tab, downloads, kind):
    tab.click(f"[data-download={kind}]")
    for _ in range(600):
        found = [path for path in downloads.glob(f"*.{kind}") if path.stat().st_size]
        if found:
            return found[0].read_text(encoding="utf-8")
        tab.run("new Promise((resolve) => setTimeout(resolve, 50))")
    raise AssertionError(f"no {kind} was saved")


def test_captions_grow_are_tentative_and_become_final(tab):
    start(tab)
    # In one step: the open segment may become final between two looks at it.
    tab.wait(
        "[...document.querySelectorAll('.segment.open')].some((it) => getComputedStyle(it).fontStyle === 'italic')"
    )
    tab.wait(ALL_FINAL)
    stop(tab)
    assert tab.run("document.querySelectorAll('.segment.open').length") == 0
    said = tab.run("[...document.querySelectorAll('#captions .segment')].map((it) => it.textContent)")
    assert sorted(said) == sorted(TEXTS)
    spoken = tab.run("document.getElementById('spoken').textContent")
    assert all(spoken.count(text) == 1 for text in TEXTS)
    assert tab.run("document.querySelectorAll('#speakers li').length") == 3


def test_people_who_talk_at_once_stand_side_by_side(tab):
    start(tab)
    tab.wait("!!document.querySelector('.together .lane:nth-child(2) .segment:not(.open)')")
    tab.wait(ALL_FINAL)
    boxes = tab.run(
        "[...document.querySelectorAll('.together .lane')].map((it) => it.getBoundingClientRect())"
        ".map((box) => [box.left, box.right, box.top])"
    )
    assert len({round(top) for _, _, top in boxes}) == 1
    assert all(one[1] <= other[0] for one, other in pairwise(boxes))
    tab.screen(320, 640, phone=True)
    assert tab.run("document.documentElement.scrollWidth") <= 320
    assert tab.run("document.querySelector('.scroller').scrollWidth") <= 320


def test_a_new_name_is_seen_everywhere_and_in_the_files(tab, fake, downloads):
    start(tab)
    tab.wait(ALL_FINAL)
    tab.click("#captions .lane button.name")
    tab.type("Maya <b>")
    tab.press("Enter")
    tab.wait("document.querySelector('#speakers li .name').textContent === 'Maya <b>'")
    shown = tab.run("[...document.querySelectorAll('[data-name-of=\"0\"]')].map((it) => it.textContent)")
    assert set(shown) == {"Maya <b>"}
    assert len(shown) >= 3
    assert fake.sessions["session-0"].names == {"0": "Maya <b>"}
    stop(tab)
    assert "Maya <b>: " + TEXTS[0] in downloaded(tab, downloads, "txt")
    assert "<v Maya &lt;b&gt;>" in downloaded(tab, downloads, "vtt")
    view = transcript_json.parse(downloaded(tab, downloads, "json"))
    assert view.names == {0: "Maya <b>"}
    assert sorted(segment.text for segment in view.segments) == sorted(TEXTS)


def test_escape_leaves_the_name(tab, fake):
    start(tab)
    tab.wait("!!document.querySelector('#speakers button.name')")
    tab.click("#speakers button.name")
    tab.type("Nobody")
    tab.press("Escape")
    assert tab.run("document.querySelector('#speakers .name').textContent") == "Speaker 1"
    assert tab.run("document.activeElement.className") == "name"
    stop(tab)
    assert fake.sessions["session-0"].names == {}


def test_a_lost_connection_is_said_and_nothing_is_missing(tab, fake, served):
    start(tab)
    tab.wait("document.querySelectorAll('.segment:not(.open)').length >= 1")
    fake.refuse = True
    served.run(fake.drop())
    tab.wait("document.body.dataset.state === 'lost'")
    tab.wait("document.getElementById('status-text').textContent.startsWith('Connection lost')")
    assert "Your sound is kept" in tab.text()
    fake.refuse = False
    tab.click("#retry")
    tab.wait("document.body.dataset.state === 'open'")
    tab.wait(ALL_FINAL)
    stop(tab)
    session = fake.sessions["session-0"]
    assert [start.get("resume", {}).get("token") for start in session.starts] == [None, "session-0"]
    said = tab.run("[...document.querySelectorAll('#captions .segment')].map((it) => it.textContent)")
    assert sorted(said) == sorted(TEXTS)


def test_the_link_shows_the_same_to_a_viewer(tab, browser, served):
    start(tab)
    tab.wait("document.querySelectorAll('.segment:not(.open)').length >= 1")
    link = tab.run(
        """new Promise((resolve) => { navigator.clipboard.writeText = async (text) => resolve(text);
        document.getElementById("share").click(); })"""
    )
    viewer = browser.tab()
    viewer.open(link)
    viewer.wait(ALL_FINAL)
    assert viewer.run("document.querySelectorAll('button.name, #stop[hidden]').length") == 0
    tab.call("Page.bringToFront")
    tab.click("#speakers button.name")
    tab.type("Maya")
    tab.press("Enter")
    viewer.wait("document.querySelector('#captions .name').textContent === 'Maya'")
    stop(tab)
    viewer.wait("document.body.dataset.state === 'done'")
    captions = "document.getElementById('captions').innerText"
    assert viewer.run(captions) == tab.run(captions)
    assert viewer.console == []
    viewer.open(served.url + "/#view=session-0&share=wrong")
    viewer.wait("document.body?.dataset.state === 'failed'")


def test_a_reader_who_scrolls_up_is_left_alone(tab):
    tab.screen(1200, 420)
    start(tab)
    tab.wait("document.getElementById('scroller').scrollTop > 80")  # less would still be the end
    tab.run("document.getElementById('scroller').scrollTop = 0")
    tab.wait("!document.getElementById('now').hidden")
    tab.wait(ALL_FINAL)
    assert tab.run("document.getElementById('scroller').scrollTop") == 0
    tab.press("n")
    tab.wait("document.getElementById('now').hidden && document.getElementById('scroller').scrollTop > 30")


def test_the_timeline_is_worked_by_keys(tab):
    start(tab)
    tab.wait(ALL_FINAL)
    stop(tab)
    tab.press("t")
    assert tab.run("document.activeElement.id") == "timeline"
    tab.press("Home", 36)
    tab.press("ArrowRight")
    tab.press("ArrowRight")
    tab.wait("document.getElementById('timeline').getAttribute('aria-valuetext') === '2 seconds, Speaker 2'")
    assert tab.run("document.querySelector('.found').textContent.includes('spring release')")


@pytest.mark.parametrize("pace", ["real", "fast"])
def test_a_recording_is_decoded_here_and_sent_whole(tab, fake, tmp_path, voices, pace):
    import numpy as np

    path = tmp_path / "meeting.wav"
    write_wav(path, np.zeros(44_100 * 3, dtype=np.float32), 44_100)
    tab.run(f"document.getElementById('pace').value = {json.dumps(pace)}")
    tab.choose_file("#file", path)
    tab.wait("document.body.dataset.state === 'done'")
    assert abs(fake.sessions["session-0"].received - 48_000) <= 2
    assert TEXTS[0] in tab.text()


def test_a_file_that_is_no_recording_is_said(tab, tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("no sound")
    tab.choose_file("#file", path)
    tab.wait("!document.getElementById('problem').hidden")
    assert "notes.txt is not a recording" in tab.text()
    assert tab.run("document.getElementById('begin').disabled") is False


def test_a_meeting_of_thousands_of_segments_stays_smooth(tab):
    """Work per caption does not grow with the meeting: only the last blocks are touched."""
    counts = tab.run(
        """(async () => {
        const { Captions } = await import("/static/js/captions.js");
        const { Transcript } = await import("/static/js/transcript.js");
        const root = document.createElement("div");
        document.body.append(root);
        const transcript = new Transcript();
        const captions = new Captions(root, transcript, { onRename: null });
        let touched = 0;
        const counts = [];
        new MutationObserver((list) => { for (const it of list) touched += it.addedNodes.length; })
          .observe(root, { childList: true, subtree: true });
        for (let i = 0; i < 4000; i += 1) {
          const words = [{ text: "word", start: i, end: i + 0.9, confidence: 1 }];
          const it = { id: `s${i}`, speaker: i % 3, start: i, end: i + 0.9, text: "word", words, flags: [] };
          captions.draw(transcript.take({ type: "final", segment: it }));
          if (i % 1000 === 999) { await 0; counts.push(touched); touched = 0; }
        }
        const whole = root.querySelectorAll(".segment").length;
        root.remove();
        return [...counts, whole];
      })()"""
    )
    assert counts[-1] == 4000
    assert max(counts[:-1]) <= 1.2 * min(counts[:-1]), counts
