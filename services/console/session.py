"""Who is signed in: the session's cookie, and what proves that a form was ours (a token of the session, beside `SameSite=Strict`)."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Form, Request
from fastapi.responses import RedirectResponse

from shared.access.auth import authenticate
from shared.access.keys import Principal, Role
from shared.access.people import Session, keep_session
from shared.http.problems import Forbidden
from shared.process.settings import Settings

COOKIE = "desk_session"
HOME = "/desk"
SIGN_IN = "/desk/sign-in"


class NotSignedIn(Exception):
    """Nobody is signed in, or the session has ended."""


class NoDesk(Exception):
    """Somebody is signed in whose role has no desk."""

    def __init__(self, at_desk: SignedIn) -> None:
        super().__init__()
        self.at_desk = at_desk


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignedIn:
    """The person at the browser. `secret`: of the session, which the services' APIs take as a key."""

    principal: Principal
    secret: str

    @property
    def form_token(self) -> str:
        return hmac.new(self.secret.encode(), b"form", hashlib.sha256).hexdigest()


async def in_session(request: Request) -> SignedIn:
    """A FastAPI dependency: whoever is signed in. Raises NotSignedIn."""
    secret = request.cookies.get(COOKIE, "")
    database = request.app.state.database
    principal = await authenticate(database, secret) if secret else None
    if principal is None:
        raise NotSignedIn
    async with database.transaction() as tx:
        await keep_session(tx, principal.key_id)
    return SignedIn(principal=principal, secret=secret)


InSession = Annotated[SignedIn, Depends(in_session)]


async def at_desk(session: InSession) -> SignedIn:
    """A FastAPI dependency: helpline staff. Raises NotSignedIn, NoDesk."""
    if session.principal.role is not Role.HELPLINE:
        raise NoDesk(session)
    return session


AtDesk = Annotated[SignedIn, Depends(at_desk)]


async def form_of_ours(session: InSession, form_token: Annotated[str, Form()] = "") -> None:
    """A FastAPI dependency of every form that changes something. Raises Forbidden for one that is not ours."""
    if not hmac.compare_digest(form_token.encode(), session.form_token.encode()):
        raise Forbidden("This form is from another session. Go back, load the page again, and send it once more.")


async def from_our_page(request: Request) -> None:
    """A FastAPI dependency of the form that signs in, which has no session yet: another site's page could sign a browser in as its
    author. Raises Forbidden. Browsers say where a form comes from (Fetch Metadata, W3C)."""
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Forbidden("This form came from another site. Open the link itself, and sign in there.")


def start_session(session: Session, settings: Settings) -> RedirectResponse:
    """To the desk, with the session's cookie."""
    answer = RedirectResponse(HOME, status_code=303)
    answer.set_cookie(
        COOKIE,
        session.secret,
        expires=session.expires_at,
        path=HOME,
        httponly=True,
        samesite="strict",
        secure=(settings.public_url or "").startswith("https:"),
    )
    return answer


def end_session() -> RedirectResponse:
    """To the sign-in page, without the cookie."""
    answer = RedirectResponse(SIGN_IN, status_code=303)
    answer.delete_cookie(COOKIE, path=HOME)
    return answer
