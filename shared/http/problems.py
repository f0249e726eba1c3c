"""Errors over HTTP: Problem Details (RFC 9457), with a JSON Pointer (RFC 6901) to each bad field of the body, or the name of the
bad parameter. Values are never echoed."""

from __future__ import annotations

import re
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from shared.contracts.json_pointer import pointer_of
from shared.errors import TakedownError, Transient
from shared.field_errors import field_errors

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"


class Problem(TakedownError):
    """This request cannot be carried out."""

    status = 400
    kind = "about:blank"

    def __init__(
        self, detail: str = "", *, pointer: str | None = None, parameter: str | None = None, **extra: Any
    ) -> None:
        """`pointer`: into the body; `parameter`: the name of one in the query."""
        super().__init__(detail)
        self.pointer = pointer
        self.parameter = parameter
        self.extra = extra


class Invalid(Problem):
    """Part of the request is not valid."""

    status = 422
    kind = "urn:takedown:problem:invalid"


class Refused(Problem):
    """This request is refused."""

    status = 422
    kind = "urn:takedown:problem:refused"


class Unauthenticated(Problem):
    """This needs a valid key."""

    status = 401
    kind = "urn:takedown:problem:unauthenticated"


class Forbidden(Problem):
    """You are not allowed to do this."""

    status = 403
    kind = "urn:takedown:problem:forbidden"


class NotFound(Problem):
    """This was not found."""

    status = 404
    kind = "urn:takedown:problem:not-found"


class Conflict(Problem):
    """This is not possible as things stand."""

    status = 409
    kind = "urn:takedown:problem:conflict"


class BodyTooLarge(Problem):
    """The body of the request is too large."""

    status = 413
    kind = "urn:takedown:problem:too-large"


class KeyReused(Problem):
    """This Idempotency-Key was already used for another request."""

    status = 422
    kind = "urn:takedown:problem:idempotency-key-reused"


# A backslash escape of U+0000 in JSON; `\\\\u0000` is a backslash and five letters.
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def has_nul(text: bytes) -> bool:
    """Whether the text has a NUL character, raw or escaped as in JSON: PostgreSQL's text has no place for it."""
    # The plain search first: it is twenty times as fast, and hardly any body holds even the letters of the escape.
    return b"\0" in text or (b"\\u0000" in text and _ESCAPED_NUL.search(text) is not None)


def problem_response(
    status: int,
    title: str,
    *,
    kind: str = "about:blank",
    detail: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
    **extra: Any,
) -> JSONResponse:
    body: dict[str, Any] = {"type": kind, "title": title, "status": status}
    if detail:
        body["detail"] = detail
    if errors:
        body["errors"] = errors
    body.update(extra)
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)


def _where(location: tuple[int | str, ...]) -> dict[str, str]:
    """The place of an error, as the answer names it. FastAPI says first whether it is in the body, the query, the path or a header: only a
    body has pointers."""
    if location and location[0] != "body":
        return {"parameter": str(location[-1])}
    return {"pointer": pointer_of(location[1:])}


_OF_HTTP = {
    404: ("This was not found.", "There is nothing at this address. The API is described at /openapi.json."),
    405: (
        "This method is not allowed here.",
        "The header Allow says which are. The API is described at /openapi.json.",
    ),
}
"""What the router refuses: status -> title, detail."""


def install(app: FastAPI) -> None:
    """Answer every error of `app` as a problem."""

    @app.exception_handler(Problem)
    async def on_problem(_: Request, error: Problem) -> JSONResponse:
        where = {"pointer": error.pointer, "parameter": error.parameter}
        named = {name: text for name, text in where.items() if text is not None}
        errors = [{**named, "detail": error.detail}] if named else None
        headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
        return problem_response(
            error.status,
            error.title,
            kind=error.kind,
            detail=error.detail,
            errors=errors,
            headers=headers,
            **error.extra,
        )

    @app.exception_handler(RequestValidationError)
    async def on_validation(_: Request, error: RequestValidationError) -> JSONResponse:
        found = field_errors(error)
        if any(one.kind == "json_invalid" for one in found):  # its place is a character's number, no field
            text = next(one.text for one in found if one.kind == "json_invalid")
            return problem_response(422, Invalid("").title, kind=Invalid.kind, detail=text)
        errors = [{**_where(one.location), "detail": one.text} for one in found]
        return problem_response(422, Invalid("").title, kind=Invalid.kind, errors=errors)

    @app.exception_handler(HTTPException)
    async def on_http(_: Request, error: HTTPException) -> JSONResponse:
        title, detail = _OF_HTTP.get(error.status_code, (str(error.detail), ""))
        return problem_response(error.status_code, title, detail=detail, headers=dict(error.headers or {}))

    @app.exception_handler(Transient)
    async def on_transient(_: Request, error: Transient) -> JSONResponse:
        log.warning("request.unavailable", error=type(error).__name__)
        return problem_response(
            503,
            "Not available right now. Please try again shortly.",
            detail=error.title,
            headers={"Retry-After": str(int(error.after_seconds or 1))},
        )
