"""Each answer of the API server is one error on every surface, and a reconcile is retried after each failure."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamiq_operator.kube import errors


def status(reason: str, message: str = "said", **details: Any) -> bytes:
    """Returns the body of an error, as the API server writes it."""
    return json.dumps({"kind": "Status", "reason": reason, "message": message, "details": details}).encode()


@pytest.mark.parametrize(
    ("code", "reason", "error"),
    [
        (400, "BadRequest", errors.Invalid),
        (401, "Unauthorized", errors.Denied),
        (403, "Forbidden", errors.Forbidden),
        (404, "NotFound", errors.NotFound),
        (409, "AlreadyExists", errors.AlreadyExists),
        (409, "Conflict", errors.Conflict),
        (413, "RequestEntityTooLarge", errors.Invalid),
        (422, "Invalid", errors.Invalid),
        (429, "TooManyRequests", errors.Unavailable),
        (500, "InternalError", errors.Unavailable),
        (503, "ServiceUnavailable", errors.Unavailable),
        (418, "AlreadyExists", errors.Unavailable),
    ],
)
def test_status_and_reason_decide_the_error(code: int, reason: str, error: type[errors.ApiError]) -> None:
    found = errors.from_answer(code, status(reason), "GET /path")
    assert (type(found), found.status, str(found)) == (error, code, "said")


def test_error_names_the_fields_that_are_wrong() -> None:
    body = status("Invalid", causes=[{"field": "spec.workflow", "message": "Required value"}, {"reason": "FieldValueInvalid"}])
    assert errors.from_answer(422, body, "POST /path").causes == (("spec.workflow", "Required value"), ("", ""))


@pytest.mark.parametrize("body", [b"upstream connect error", b"[1]", b"\xff\xfe"])
def test_a_response_of_a_proxy_is_the_message(body: bytes) -> None:
    found = errors.from_answer(502, body, "GET /path")
    assert isinstance(found, errors.Unavailable)
    assert str(found) == body.decode(errors="replace")


def test_an_error_without_a_body_names_the_request() -> None:
    assert str(errors.from_answer(500, b"", "GET /path")) == "GET /path: HTTP 500"


def test_backoff_doubles_up_to_five_seconds_and_goes_on_for_ever() -> None:
    assert [errors.backoff(n) for n in (1, 2, 3)] == [0.2, 0.4, 0.8]
    assert errors.backoff(9) == errors.backoff(100_000) == 5.0


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"<html><body>404 Not Found</body></html>", errors.Unavailable),
        (b"", errors.Unavailable),
        (b"{}", errors.Unavailable),
        (b"404 page not found\n", errors.NotFound),
    ],
)
def test_only_an_api_server_can_report_a_missing_object(body: bytes, error: type[errors.ApiError]) -> None:
    """A misconfigured proxy in front of the API server answers 404 as well: that does not mean that an object is missing."""
    assert type(errors.from_answer(404, body, "GET /path")) is error


def test_a_patch_that_meets_another_object_of_the_name_is_a_conflict() -> None:
    causes = [{"field": "metadata.uid", "message": 'Invalid value: "uid-1": field is immutable'}]
    assert (
        type(errors.from_answer(422, status("Invalid", "metadata.uid: field is immutable", causes=causes), "PATCH /path"))
        is errors.Conflict
    )


def test_answer_that_repeats_all_that_was_sent_is_cut() -> None:
    found = errors.from_answer(
        422, status("Invalid", "x" * 1_000_000, causes=[{"field": "data", "message": "y" * 1_000_000}]), "POST /path"
    )
    assert len(str(found)) + len(found.causes[0][1]) < 20_000


@pytest.mark.parametrize("details", [{"causes": ["odd"]}, {"causes": 3}, "odd"])
def test_details_of_an_odd_form_are_left_out(details: Any) -> None:
    body = json.dumps({"kind": "Status", "reason": "Invalid", "message": "said", "details": details}).encode()
    found = errors.from_answer(422, body, "POST /path")
    assert (type(found), found.causes) == (errors.Invalid, ())
