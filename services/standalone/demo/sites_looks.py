"""Hosts that are hard to look at: what they answer says neither that the picture is there nor that it is not, or says it falsely."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.responses import HTMLResponse, RedirectResponse, Response

from services.standalone.demo.sites import Received, Site, path_of

SCRIPT_PAGE = (
    "<!doctype html><html><head><title>post</title></head><body><div id=app></div>"
    "<script>const app = document.getElementById('app'); {script}</script></body></html>"
)
"""A page that says nothing to who runs no scripts."""
SHOWS = "app.appendChild(new Image()).src = ['', 'm', '{name}'].join('/')"
SAYS_REMOVED = "app.textContent = 'This post was removed by its author. Here is what others posted today.'"


@dataclass(eq=False, kw_only=True)
class GoneInNameAlone(Site):
    """Answers 410, and sends the picture with it: every browser shows it."""

    said_gone: set[str] = field(default_factory=set)

    async def get(self, path: str) -> Response:
        picture = self.pictures.get(path)
        if path in self.said_gone and path not in self.disabled and picture is not None:
            return Response(picture.body, media_type=picture.media_type, status_code=410)
        return await super().get(path)

    async def asked(self, received: Received) -> None:
        assert received.url is not None
        self.said_gone.add(path_of(received.url))
        await self.say_removed(received)


@dataclass(eq=False, kw_only=True)
class Walled(Site):
    """Does nothing but put a wall before everything, and says that it is removed."""

    walled: bool = False

    async def get(self, path: str) -> Response:
        return self.wall(path) if self.walled else await super().get(path)

    def wall(self, path: str) -> Response:
        """What everybody gets."""
        raise NotImplementedError

    async def asked(self, received: Received) -> None:
        self.walled = True
        await self.say_removed(received)


@dataclass(eq=False, kw_only=True)
class LoginWall(Walled):
    """Whoever is not logged in is sent to the login."""

    def wall(self, path: str) -> Response:
        if path != "/login":
            return RedirectResponse("/login", status_code=302)
        form = "<form>Name <input name=n> Password <input type=password name=p> <button>Log in</button></form>"
        return HTMLResponse(f"<html><head><title>Log in</title></head><body>{form}</body></html>")


@dataclass(eq=False, kw_only=True)
class Firewall(Walled):
    """A firewall that answers 202 with nothing in it until a browser has proven itself, as some do."""

    def wall(self, path: str) -> Response:
        return Response(status_code=202, media_type="text/html", headers={"x-amzn-waf-action": "challenge"})


@dataclass(eq=False, kw_only=True)
class ScriptPage(Site):
    """Its pages are made by scripts. It takes the file away, and the page says so; or, `moves_to`, shows the picture from there."""

    moves_to: str | None = None
    page: str = "/post/1"

    def __post_init__(self) -> None:
        self.pages[self.page] = SCRIPT_PAGE.format(script=SHOWS.format(name="1.jpg"))

    def disable(self, received: Received) -> None:
        assert received.url is not None
        script = SAYS_REMOVED if self.moves_to is None else SHOWS.format(name=self.moves_to)
        if self.moves_to is not None:
            self.pictures[f"/m/{self.moves_to}"] = self.pictures[path_of(received.url)]
        self.pages[self.page] = SCRIPT_PAGE.format(script=script)
        self.disabled.add(path_of(received.url))
