"""app/transport/problems.py: every error of the app has a status."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from app import errors
from app.transport.problems import HttpProblem, problem_of

CLIENT_FAULTS = (
    errors.AccessError,
    errors.InputError,
    errors.BlobMissing,
    errors.IdempotencyConflict,
    errors.JobNotFound,
    errors.JobStateInvalid,
    errors.RevisionConflict,
    errors.SpeakerNotFound,
    errors.UploadConflict,
    errors.UploadNotFound,
)
"""What another request would do better; everything else is the server's."""


def _all_errors(kind=errors.CrosstalkError):
    """Every error but those of the clients, which a server never meets."""
    if not kind.__module__.startswith("app.client"):
        yield kind
    for child in kind.__subclasses__():
        yield from _all_errors(child)


@pytest.mark.parametrize("kind", list(_all_errors()), ids=lambda kind: kind.__name__)
def test_every_error_has_a_status_and_keeps_its_code(kind):
    problem = problem_of(kind("what happened"))
    body = problem.body()["error"]
    assert (body["code"], body["message"]) == (kind.code, "what happened")
    client_fault = issubclass(kind, CLIENT_FAULTS)
    assert (400 <= problem.status < 500) == client_fault
    assert body["type"] == ("invalid_request_error" if client_fault else "server_error")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.AudioTooLong("x"), 413),
        (errors.AudioUnreadable("x"), 400),
        (errors.ModelUnavailable("x"), 503),
        (errors.Overloaded("x"), 503),
        (errors.OutputError("x"), 507),
        (errors.EngineFailed("x"), 500),
        (TimeoutError(), 504),
        (HttpProblem(HTTPStatus.REQUEST_TIMEOUT, "upload_stalled", "x"), 408),
    ],
)
def test_statuses(error, status):
    assert problem_of(error).status == status


def test_refusals_say_when_to_come_back():
    assert problem_of(errors.Overloaded("x"), 7).headers == {"Retry-After": "7"}
    assert problem_of(errors.EngineFailed("x"), 7).headers == {}


def test_unknown_errors_give_nothing_away():
    problem = problem_of(RuntimeError("password in /etc/secret"))
    assert problem.status == 500
    assert "secret" not in str(problem.body())


def test_input_errors_name_the_file_unless_they_name_something_else():
    assert problem_of(errors.AudioEmpty("x")).param == "file"
    assert problem_of(errors.OptionInvalid("x", param="language")).param == "language"
