"""How hosts behave. One class a temper; what each does is what a host on the real internet was seen to do."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse

from services.standalone.demo.pictures import Picture

ASKING = frozenset({"demand.issued", "demand.reminded", "demand.still_present", "demand.reappeared"})
"""Messages that ask for removal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message as a host got it. `url` and `token` are None in one that asks for nothing any more."""

    type: str
    message_id: str
    demand_id: str | None
    url: str | None
    page_url: str | None
    token: str | None

    @classmethod
    def of(cls, message: dict[str, Any], *, message_id: str) -> Received:
        items = message["data"].get("items") or [{}]
        return cls(
            type=message["type"],
            message_id=message_id,
            demand_id=items[0].get("demand_id"),
            url=items[0].get("url"),
            page_url=items[0].get("page_url"),
            token=items[0].get("token"),
        )


class Answers(Protocol):
    """How a host answers a demand: over HTTP, by the demand's token."""

    async def acknowledge(self, demand_id: str, token: str, *, ticket_ref: str) -> None: ...

    async def report_removal(self, demand_id: str, token: str, *, method: str) -> None: ...


def path_of(url: str) -> str:
    """The path of a demo URL (they have no query)."""
    return "/" + url.split("/", 3)[3]


@dataclass(eq=False, kw_only=True)
class Site:
    """A host that cooperates: it disables what it is asked to, at once, and says so. The other tempers change parts of that."""

    name: str
    provider: str | None = "hosting"
    """The directory key of the organisation behind it."""
    posture: str = "normal"
    bound_by: str = ""
    email: str | None = None
    """Set: it has a mailbox and no webhook."""
    pictures: dict[str, Picture] = field(default_factory=dict)
    """What it serves, by path."""
    pages: dict[str, str] = field(default_factory=dict)
    """HTML by path."""
    gone_status: int = 410
    received: list[Received] = field(default_factory=list)
    disabled: set[str] = field(default_factory=set)
    """Paths that answer `gone_status` now."""
    removed_by_provider: bool = False
    secret: str = field(default_factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    answers: Answers | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def domain(self) -> str:
        return f"{self.name}.test"

    def url(self, path: str) -> str:
        return f"http://{self.domain}{path}"

    def heard(self, *types: str) -> int:
        """How many messages of these types, each counted once."""
        return len({one.message_id for one in self.received if one.type in types})

    async def get(self, path: str) -> Response:
        if path == "/":
            return HTMLResponse(f"<html><head><title>{self.domain}</title></head><body><p>Welcome.</p></body></html>")
        if path in self.disabled:
            return PlainTextResponse("gone", status_code=self.gone_status)
        if path in self.pages:
            return HTMLResponse(self.pages[path])
        picture = self.pictures.get(path)
        if picture is None:
            return PlainTextResponse("not found", status_code=404)
        return Response(picture.body, media_type=picture.media_type)

    async def message(self, received: Received) -> Response:
        if received.type in ASKING and received.url is not None:
            self.soon(self.asked(received))
        return Response(status_code=204)

    async def asked(self, received: Received) -> None:
        """Do what this host does when it is asked to remove something."""
        self.disable(received)
        await self.say_removed(received)

    def disable(self, received: Received) -> None:
        for url in (received.url, received.page_url):
            if url is not None and self.domain in url:
                self.disabled.add(path_of(url))

    async def say_removed(self, received: Received, method: str = "disabled") -> None:
        if self.answers is not None and received.demand_id is not None and received.token is not None:
            await self.answers.report_removal(received.demand_id, received.token, method=method)

    async def say_received(self, received: Received) -> None:
        if self.answers is not None and received.demand_id is not None and received.token is not None:
            reference = f"T-{len(self.received)}"
            await self.answers.acknowledge(received.demand_id, received.token, ticket_ref=reference)

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside the answer to the message, as a host's staff would."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()


@dataclass(eq=False, kw_only=True)
class Slow(Site):
    """Acknowledges at once, removes later."""

    removes_after_seconds: float = 5.0

    async def asked(self, received: Received) -> None:
        if received.type not in ("demand.issued", "demand.reappeared"):
            return
        await self.say_received(received)
        await asyncio.sleep(self.removes_after_seconds)
        self.disable(received)
        await self.say_removed(received)


@dataclass(eq=False, kw_only=True)
class Dawdler(Site):
    """Acknowledges and does nothing more."""

    async def asked(self, received: Received) -> None:
        await self.say_received(received)


@dataclass(eq=False, kw_only=True)
class Silent(Site):
    """Takes every message and does nothing."""

    async def asked(self, received: Received) -> None:
        return


@dataclass(eq=False, kw_only=True)
class Flaky(Site):
    """Fails in four ways, then works: 503 with Retry-After, no answer in time, 500, a slow drip. Its pictures fail at times too."""

    messages: int = 0
    looks: int = 0

    async def get(self, path: str) -> Response:
        self.looks += 1
        if self.looks in (1, 3):
            return PlainTextResponse("try later", status_code=503)
        return await super().get(path)

    async def message(self, received: Received) -> Response:
        self.messages += 1
        match self.messages:
            case 1:
                return PlainTextResponse("try later", status_code=503, headers={"Retry-After": "1"})
            case 2:
                await asyncio.sleep(5)  # the sender has gone before
                return Response(status_code=204)
            case 3:
                return PlainTextResponse("broken", status_code=500)
            case 4:
                return StreamingResponse(_drip(), status_code=502)
            case _:
                return await super().message(received)


async def _drip() -> AsyncIterator[bytes]:
    while True:
        yield b"."
        await asyncio.sleep(0.5)


@dataclass(eq=False, kw_only=True)
class Liar(Site):
    """Says that it is removed. It is still there."""

    async def asked(self, received: Received) -> None:
        await self.say_removed(received, method="deleted")


@dataclass(eq=False, kw_only=True)
class SoftNotFound(Site):
    """Answers 200 with a page that says "not found", whatever there is not."""

    async def get(self, path: str) -> Response:
        answer = await super().get(path)
        if answer.status_code == 200:
            return answer
        return HTMLResponse("<html><body><h1>Sorry</h1><p>This file does not exist any more.</p></body></html>")


@dataclass(eq=False, kw_only=True)
class Swapper(Site):
    """Puts another picture at the same address."""

    other: Picture

    async def asked(self, received: Received) -> None:
        assert received.url is not None
        self.pictures[path_of(received.url)] = self.other
        await self.say_removed(received, method="deleted")


@dataclass(eq=False, kw_only=True)
class UploadsAgain(Site):
    """Removes it; once that is confirmed to it the uploader puts it back; removes it again."""

    gone_status: int = 404
    back_after_seconds: float = 1.0
    uploaded_again: asyncio.Event = field(default_factory=asyncio.Event)

    async def message(self, received: Received) -> Response:
        if received.type == "demand.closed" and not self.uploaded_again.is_set():
            self.soon(self._upload_again())
        return await super().message(received)

    async def _upload_again(self) -> None:
        await asyncio.sleep(self.back_after_seconds)
        self.disabled.clear()
        self.uploaded_again.set()


@dataclass(eq=False, kw_only=True)
class Redirector(Site):
    """Redirects whoever looks to an inside address: to the cloud's metadata service, or to the machine itself."""

    inside: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str) -> Response:
        if path in self.inside:
            return RedirectResponse(self.inside[path], status_code=302)
        return await super().get(path)


@dataclass(eq=False, kw_only=True)
class EndpointGone(Site):
    """Answers every demand with 410."""

    async def message(self, received: Received) -> Response:
        return PlainTextResponse("we do not take these any more", status_code=410)


@dataclass(eq=False, kw_only=True)
class Provider(Site):
    """The hosting provider behind the sites: it disables what a site does not. It needs to find the site of a URL."""

    sites: dict[str, Site] = field(default_factory=dict)

    async def asked(self, received: Received) -> None:
        assert received.url is not None
        site = self.sites[received.url.split("/")[2]]
        site.disabled.add(path_of(received.url))
        if received.page_url is not None:
            site.disabled.add(path_of(received.page_url))
        site.removed_by_provider = True
        await self.say_removed(received)
