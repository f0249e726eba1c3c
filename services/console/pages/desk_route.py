"""How every page of the desk ends that cannot be shown: on the sign-in page, or on a page that says what is wrong. Staff see no JSON."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute

from services.console.pages.rendering import page
from services.console.session import SIGN_IN, NoDesk, NotSignedIn, SignedIn
from shared.field_errors import field_errors
from shared.http.api_client import ApiRefused, ApiUnreachable
from shared.http.problems import Problem
from shared.service.runtime import Runtime


class DeskRoute(APIRoute):
    """A route that answers with pages, also where it fails."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except NotSignedIn:
                return RedirectResponse(SIGN_IN, status_code=303)
            except NoDesk as error:
                return _said(request, 403, _NO_DESK, error.at_desk)
            except Problem as error:
                return _said(request, error.status, error.detail or str(error))
            except ApiRefused as error:
                return _said(request, error.status, str(error))
            except ApiUnreachable:
                return _said(request, 503, "A part of the service does not answer. Please try again in a minute.")
            except RequestValidationError as error:
                return _said(request, 422, field_errors(error)[0].text)

        return handled


_NO_DESK = "The desk is for helpline staff. Operations staff use the command line for now."


def _said(request: Request, status: int, detail: str, at_desk: SignedIn | None = None) -> Response:
    runtime: Runtime = request.app.state.provided[Runtime]
    return page(runtime.settings, "problem.html", at_desk, status=status, detail=detail)
