"""How a request's body is read: whole, within limits of size and time, before the app sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.http import problems
from shared.http.json_bodies import BodyFault, fault_of, is_json
from shared.http.ndjson import is_lines

READ_AT_ONCE_BYTES = 64 * 1024
BODY_SECONDS = 30.0
"""How long a request's body may take after its head, whoever sends it: nobody has shown a key yet."""
LINES_SECONDS = 60.0
"""How long a stream of lines may be silent; it may last for hours."""
FORM_BYTES = 256 * 1024
"""The size of a page's form, in which a thousand links may be pasted."""
FORM_FIELDS = 1000

_URLENCODED = b"application/x-www-form-urlencoded"
_TOO_MANY_FIELDS = f"This form has {FORM_FIELDS:,} fields or more. Leave out what is not asked for."
_NUL = "It contains a NUL character (U+0000). Remove it."


class SlowBody(problems.Problem):
    """The body of the request did not arrive in time."""

    status = 408
    kind = "urn:takedown:problem:slow-body"


class BodyLimit:
    """ASGI middleware: 413 for a body over `max_bytes`, announced or counted; 408 for one that takes longer than `body_seconds`;
    422 for a NUL character, which PostgreSQL's text has no place for, and for JSON or a form of a shape that nobody needs.

    `larger`: paths that take more, and how much. What is read as JSON or a form is read on the loop, where nothing may take 50 ms.

    A body is read whole before the app sees it, for the app would take an error while reading for its own. Only where a path
    takes lines (`streamed`) a body of that media type goes through as it comes: its route limits and refuses line by line; one that
    is silent for `lines_seconds` counts as broken off.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_bytes: int,
        streamed: Collection[str] = (),
        larger: Mapping[str, int] | None = None,
        body_seconds: float = BODY_SECONDS,
        lines_seconds: float = LINES_SECONDS,
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.streamed = streamed
        self.larger = larger or {}
        self.body_seconds = body_seconds
        self.lines_seconds = lines_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] in self.streamed and is_lines(scope):
            await self._stream(scope, receive, send)
        else:
            await self._whole(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _has_nul(scope, b"", b""):
            await _refuse(problems.Invalid(_NUL), scope, receive, send)
            return
        ended = False

        async def within_time() -> Message:
            nonlocal ended
            if ended:
                return await receive()
            try:
                async with asyncio.timeout(self.lines_seconds):
                    message = await receive()
            except TimeoutError:
                return {"type": "http.disconnect"}
            ended = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        await self.app(scope, within_time, send)

    async def _whole(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        content_type = headers.get(b"content-type", b"")
        max_bytes = self.larger.get(scope["path"], FORM_BYTES if _is_form(content_type) else self.max_bytes)
        try:
            async with asyncio.timeout(self.body_seconds):
                body = await _read(headers, receive, max_bytes)
        except problems.Problem as refusal:
            await _refuse(refusal, scope, receive, send)
            return
        except TimeoutError:
            await _refuse(SlowBody(f"It has to arrive within {self.body_seconds:g} seconds."), scope, receive, send)
            return
        if body is None:
            return  # the client went away
        if _has_nul(scope, content_type, body):
            await _refuse(problems.Invalid(_NUL), scope, receive, send)
            return
        if _is_form(content_type) and body.count(b"&") >= FORM_FIELDS:
            await _refuse(problems.Invalid(_TOO_MANY_FIELDS), scope, receive, send)
            return
        if is_json(content_type) and (fault := await _fault(body)) is not None:
            await _refuse(problems.Invalid(fault.text, pointer=fault.pointer), scope, receive, send)
            return
        whole: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replayed() -> Message:
            return whole.pop() if whole else await receive()

        await self.app(scope, replayed, send)


async def _read(headers: Mapping[bytes, bytes], receive: Receive, max_bytes: int) -> bytes | None:
    """The body; None: the client went away. Raises BodyTooLarge."""
    announced = headers.get(b"content-length", b"0")
    too_large = problems.BodyTooLarge(f"It may have at most {max_bytes} bytes. Send less at once.")
    if not announced.isdigit() or int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)


def _is_form(content_type: bytes) -> bool:
    return content_type.lower().startswith(_URLENCODED)


def _has_nul(scope: Scope, content_type: bytes, body: bytes) -> bool:
    """Whether path, query or body has a NUL, raw or escaped. JSON in UTF-16 counts as such; RFC 8259, 8.1 knows UTF-8 alone."""
    if "\0" in scope["path"] or b"%00" in scope.get("query_string", b""):
        return True
    if problems.has_nul(body):
        return True
    return _is_form(content_type) and b"%00" in body


async def _fault(body: bytes) -> BodyFault | None:
    """What is wrong with a body of JSON, read in a thread where it is large: that takes longer than others should wait."""
    if len(body) > READ_AT_ONCE_BYTES:
        return await asyncio.to_thread(fault_of, body)
    return fault_of(body)


async def _refuse(error: problems.Problem, scope: Scope, receive: Receive, send: Send) -> None:
    errors = None if error.pointer is None else [{"pointer": error.pointer, "detail": error.detail}]
    response = problems.problem_response(error.status, error.title, kind=error.kind, detail=error.detail, errors=errors)
    if error.status in (SlowBody.status, problems.BodyTooLarge.status):
        response.headers["connection"] = "close"  # the rest of the body is not waited for
    await response(scope, receive, send)
