"""app/observe.py: text and JSON lines."""

from __future__ import annotations

import asyncio
import io
import json
import logging

import pytest

from app.context import working_for
from app.observe import set_up_logging


@pytest.fixture(autouse=True)
def _restore_root():
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)


def test_json_lines_hold_message_extras_and_traceback():
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    logger = logging.getLogger("app.test")
    logger.info("did %d things", 3, extra={"session": "s1"})
    try:
        raise ValueError("broken")
    except ValueError:
        logger.exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["message"], first["session"], first["level"]) == ("did 3 things", "s1", "info")
    assert "ValueError: broken" in second["traceback"]


def test_level_holds_back_and_text_is_one_line():
    stream = io.StringIO()
    set_up_logging("warning", "text", stream)
    logging.getLogger("app.test").info("unseen")
    logging.getLogger("app.test").warning("seen")
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().endswith("WARNING app.test: seen\n")


def test_set_up_twice_writes_once():
    stream = io.StringIO()
    set_up_logging("info", "text", io.StringIO())
    set_up_logging("info", "text", stream)
    logging.getLogger("uvicorn.error").error("once")
    assert stream.getvalue().count("once") == 1


def test_debug_lines_of_other_libraries_which_hold_what_was_sent_are_left_out():
    stream = io.StringIO()
    set_up_logging("debug", "text", stream)
    logging.getLogger("uvicorn.error").debug("< TEXT 'what somebody said'")
    logging.getLogger("app.test").debug("ours")
    assert "somebody" not in stream.getvalue()
    assert "ours" in stream.getvalue()


def test_every_line_tells_what_it_is_about_also_from_a_thread():
    text, machine = io.StringIO(), io.StringIO()

    async def work():
        with working_for(request_id="r1"), working_for(session_id="s1"):
            await asyncio.to_thread(logging.getLogger("app.test").info, "within")
        logging.getLogger("app.test").info("outside")

    for style, stream in (("text", text), ("json", machine)):
        set_up_logging("info", style, stream)
        asyncio.run(work())
    within, outside = map(json.loads, machine.getvalue().splitlines())
    assert [within[name] for name in ("request_id", "session_id", "job_id")] == ["r1", "s1", None]
    assert [outside[name] for name in ("request_id", "session_id", "job_id")] == [None, None, None]
    assert text.getvalue().splitlines()[0].endswith("app.test: within [request=r1 session=s1]")
    assert text.getvalue().splitlines()[1].endswith("app.test: outside")
