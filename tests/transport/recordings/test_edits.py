"""Edits of a transcript: revisions, ETags, two people at once."""

from __future__ import annotations

import threading

from tests.transport.recordings.calls import code, finished


def test_an_etag_is_that_of_the_revision_which_came_with_it(http):
    path = finished(http)
    first = http.get(f"{path}/transcript").headers["etag"]
    done = http.patch(f"{path}/transcript", json={"speakers": {"0": "Maya"}}, headers={"If-Match": first})
    assert done.headers["etag"] != first
    assert http.get(f"{path}/transcript").headers["etag"] == http.get(path).headers["etag"] == done.headers["etag"]
    old = http.get(f"{path}/transcript?revision=1")
    assert old.headers["etag"] == first
    stale = http.patch(f"{path}/transcript", json={"speakers": {"0": "Noa"}}, headers={"If-Match": old.headers["etag"]})
    assert code(stale) == (412, "revision_conflict")
    assert code(http.get(f"{path}/transcript?revision=9")) == (409, "job_state_conflict")


def test_of_many_edits_at_once_one_wins_and_the_others_are_told(http):
    path, answers = finished(http), []
    seen = http.get(path).headers["etag"]
    ready = threading.Barrier(4)

    def edit(number):
        ready.wait(20)
        body = {"speakers": {"0": f"Name {number}"}, "note": f"by {number}"}
        answers.append((number, http.patch(f"{path}/transcript", json=body, headers={"If-Match": seen})))

    threads = [threading.Thread(target=edit, args=(number,)) for number in range(4)]
    for it in threads:
        it.start()
    for it in threads:
        it.join(60)
    assert sorted(answer.status_code for _, answer in answers) == [200, 412, 412, 412]
    winner = next(number for number, answer in answers if answer.status_code == 200)
    assert f"Name {winner}" in http.get(f"{path}/transcript?format=txt").text
    assert [it["note"] for it in http.get(f"{path}/revisions").json()["data"]] == ["", f"by {winner}"]


def test_edits_that_make_no_sense(http):
    path = finished(http)
    anyway = {"If-Match": "*"}
    for body in ({}, {"segments": {"s-99999": {"text": "x"}}}, {"speakers": {"7": "x"}}):
        assert code(http.patch(f"{path}/transcript", json=body, headers=anyway)) == (400, "option_invalid")
    for body in ({"speaker": {}}, {"speakers": {"-1": "x"}}, {"speakers": []}, {"note": "\0"}):
        assert code(http.patch(f"{path}/transcript", json=body, headers=anyway)) == (422, "option_invalid")
    for tag in ('"x"', 'W/"1"', f'"{"9" * 99}"'):
        assert (
            code(http.patch(f"{path}/transcript", json={"speakers": {"0": "x"}}, headers={"If-Match": tag}))[0] == 412
        )
    assert http.get(f"{path}/revisions").json()["data"][-1]["revision"] == 1
