"""Signing in by a one-time link, and signing out. Mail scanners follow links, so opening one changes nothing: a button uses it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form
from fastapi.responses import HTMLResponse, Response

from services.console.pages.desk_route import DeskRoute
from services.console.pages.rendering import page
from services.console.session import InSession, end_session, form_of_ours, from_our_page, start_session
from shared.access import audit
from shared.access.keys import revoke_key
from shared.access.people import invited, sign_in
from shared.service.dependencies import ServiceRuntime

routes = APIRouter(prefix="/desk", include_in_schema=False, route_class=DeskRoute)


@routes.get("/sign-in")
async def ask_for_link(runtime: ServiceRuntime) -> HTMLResponse:
    """How to get in."""
    return page(runtime.settings, "sign_in.html", None, token="", usable=None)


@routes.get("/sign-in/{token}")
async def open_link(runtime: ServiceRuntime, token: str) -> HTMLResponse:
    """What a one-time link shows: a button, while it can be used."""
    usable = await invited(runtime.database, token)
    return page(runtime.settings, "sign_in.html", None, status=200 if usable else 410, token=token, usable=usable)


@routes.post("/sign-in", dependencies=[Depends(from_our_page)])
async def use_link(runtime: ServiceRuntime, token: Annotated[str, Form(max_length=100)]) -> Response:
    """Use the link: the browser that sends this is signed in."""
    async with runtime.database.transaction() as tx:
        session = await sign_in(tx, token)
        if session is not None:
            key_id = session.principal.key_id
            await audit.record(tx, session.principal, action="session.opened", object_kind="key", object_id=key_id)
    if session is None:
        return page(runtime.settings, "sign_in.html", None, status=410, token="", usable=False)
    return start_session(session, runtime.settings)


@routes.post("/sign-out", dependencies=[Depends(form_of_ours)])
async def sign_out(runtime: ServiceRuntime, session: InSession) -> Response:
    """End the session, here and for every page that is still open."""
    async with runtime.database.transaction() as tx:
        await revoke_key(tx, session.principal.key_id)
        await audit.record(
            tx, session.principal, action="session.ended", object_kind="key", object_id=session.principal.key_id
        )
    return end_session()
