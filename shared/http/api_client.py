"""A client of our own HTTP API, for the command line, the console and the demo. Not for the internet: it has no address guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

import httpx
import stamina

from shared.errors import Permanent, Transient

if TYPE_CHECKING:
    from starlette.types import ASGIApp

TIMEOUT_SECONDS = 30.0
KEPT_SECONDS = 2.0
"""An idle connection is dropped before the server drops it (uvicorn: after 5 s), which would meet a request on its way."""
_DROPPED = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
_ATTEMPTS = 3
_IN_PROCESS = "http://127.0.0.1"
"""What a call without a connection names as its host."""


class ApiUnreachable(Transient):
    """The service cannot be reached. Is it running, and is the address right (TAKEDOWN_NOTIFIER_URL, TAKEDOWN_INTAKE_URL)?"""


class ApiRefused(Permanent):
    """The service refused this."""

    def __init__(self, detail: str, *, status: int) -> None:
        super().__init__(detail)
        self.status = status

    def __str__(self) -> str:
        return self.detail  # what the service said is a title and a sentence already


class ApiClient:
    """One service's API with one key (`tdk_…`; None: no authorization header). Use it in `async with`.

    Answers are the decoded JSON. Every call raises ApiUnreachable (no answer, or 5xx) and ApiRefused (4xx), whose text is one
    line made of the problem's title, detail and pointers (RFC 9457).
    """

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        timeout_seconds: float = TIMEOUT_SECONDS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        headers = {"authorization": f"Bearer {key}"} if key else {}
        # No proxy of the environment: the services are on this machine or inside.
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            headers=headers,
            timeout=timeout_seconds,
            trust_env=False,
            transport=transport,
            limits=httpx.Limits(keepalive_expiry=KEPT_SECONDS),
        )

    @classmethod
    def in_process(cls, app: ASGIApp, key: str) -> Self:
        """A client of the API that this process serves itself: each call goes through the whole app, without a connection."""
        return cls(_IN_PROCESS, key, transport=httpx.ASGITransport(app=app))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def get(self, path: str, **query: str | int | None) -> Any:
        return await self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    async def items(self, path: str, **query: str | int | None) -> AsyncIterator[dict[str, Any]]:
        """Every item of a paged list (`{items, next}`), page by page."""
        cursor: str | None = None
        while True:
            page = await self.get(path, **query, cursor=cursor)
            for item in page["items"]:
                yield item
            cursor = page.get("next")
            if not cursor:
                return

    async def post(self, path: str, body: Any = None, *, idempotency_key: str | None = None) -> Any:
        """POST JSON; an Idempotency-Key is made where none is given."""
        headers = {"idempotency-key": idempotency_key or str(uuid4())}
        return await self._call("POST", path, json={} if body is None else body, headers=headers)

    async def patch(self, path: str, body: Any) -> Any:
        """PATCH JSON, with an Idempotency-Key."""
        return await self._call("PATCH", path, json=body, headers={"idempotency-key": str(uuid4())})

    async def post_text(self, path: str, text: str, *, content_type: str) -> Any:
        return await self._call("POST", path, content=text.encode(), headers={"content-type": content_type})

    async def get_page(self, path: str) -> str:
        """An HTML page, as a browser gets it."""
        return (await self._answer("GET", path)).text

    async def post_form(self, path: str, fields: Mapping[str, str]) -> str:
        """Submit a form, as a browser does; the page that answers."""
        return (await self._answer("POST", path, data=dict(fields))).text

    async def is_ready(self) -> bool:
        """Whether `/health/ready` answers 200."""
        try:
            answer = await self._http.get("/health/ready", timeout=5)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    async def _call(self, method: str, path: str, **sent: Any) -> Any:
        answer = await self._answer(method, path, **sent)
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise ApiRefused(
                f"What answers at {self.base_url} is not Takedown. Check TAKEDOWN_NOTIFIER_URL and TAKEDOWN_INTAKE_URL.",
                status=answer.status_code,
            ) from None

    async def _answer(self, method: str, path: str, **sent: Any) -> httpx.Response:
        try:
            answer = await self._answered(method, path, **sent)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ApiUnreachable(f"{self.base_url}: {_reason(error)}.") from None
        if answer.status_code >= 500:
            raise ApiUnreachable(f"{self.base_url}: {answer.status_code} {_problem(answer)}")
        if answer.status_code >= 300:
            raise ApiRefused(f"{_problem(answer)} ({answer.status_code})", status=answer.status_code)
        return answer

    async def _answered(self, method: str, path: str, **sent: Any) -> httpx.Response:
        """A dropped connection says nothing of whether the request was handled; each of ours may be sent again (it is a GET,
        has an Idempotency-Key, or replaces a whole)."""
        async for attempt in stamina.retry_context(on=_DROPPED, attempts=_ATTEMPTS, wait_initial=0.05):
            with attempt:
                return await self._http.request(method, path, **sent)
        raise AssertionError("an attempt returns or raises")


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.ConnectError):
        return "no connection"
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    return type(error).__name__


def _problem(answer: httpx.Response) -> str:
    """A problem in one line."""
    try:
        problem = answer.json()
    except ValueError:
        return answer.reason_phrase
    if not isinstance(problem, dict):
        return answer.reason_phrase
    said = [str(problem.get("title", ""))]
    if problem.get("detail") and not _listed(problem, "errors"):  # they say it with its place
        said.append(str(problem["detail"]))
    places = [
        f"{one.get('pointer') or one.get('parameter') or ''}: {one.get('detail', '')}".removeprefix(": ")
        for one in _listed(problem, "errors")
    ]
    places += [_of_line(one) for one in _listed(problem, "lines")]
    text = " ".join([*said, *places])
    return " ".join(text.split())


def _of_line(error: dict[str, Any]) -> str:
    """An error in a file, in one sentence."""
    column = error.get("column")
    where = f"Line {error.get('line')}" + (f", {column}" if column and column != "(line)" else "")
    return f"{where}: {error.get('detail')}"


def _listed(problem: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The first few of a problem's list of objects."""
    listed = problem.get(name)
    return [one for one in listed[:5] if isinstance(one, dict)] if isinstance(listed, list) else []
