"""app/observe.py: text and JSON lines."""

from __future__ import annotations

import io
import json
import logging

import pytest

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
