"""One FastAPI app for one or several services: problems, body limit, health and metrics.

How a service writes its routes:

- One module a resource, with a router at its top level (`routes = APIRouter(prefix=…, tags=[…])`) and plain functions as routes.
- A route gets what it works with by its type: the runtime as `ServiceRuntime`, an object of the service's own as
  `Annotated[Kind, Depends(provided(Kind))]` once the service names it in `provides()` (`shared.service.dependencies`).
- Each route has a `summary`, a docstring (its description) and an answer that is an `Answer` (`shared.http.answers`): it returns
  one, or, where it returns a response of its own, names it as `response_model`.
- Each body and each answer has an example in its model (`model_config = example({…})`); `shared.http.openapi` shows it in the
  operation. `tests/unit/house/test_api_description.py` holds all of this up.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Sequence

import structlog
from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.contracts.topics import CONTENT
from shared.errors import TakedownError
from shared.http import problems
from shared.http.body_limit import BodyLimit
from shared.http.ndjson import LinesRoute
from shared.http.openapi import App
from shared.http.trusted_hosts import TrustedHosts, names_of
from shared.log.port import EventLog, TopicPartition
from shared.service.front_page import front_page
from shared.service.runtime import Runtime, Service

log = structlog.get_logger()

LOG_REACHED_WITHIN_SECONDS = 2.0


class UnexpectedErrors:
    """ASGI middleware, the outermost: answers 500 to an error nobody foresaw. Its text may quote a URL or a hash and is never logged."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:  # noqa: BLE001 - the outcome is answered and logged; the server would log the text
            log.error("request.failed", error=type(error).__name__, place=_place(error))
            if scope["type"] == "http" and not started:
                await problems.problem_response(
                    500, "Something went wrong on our side. Please try again; the operator finds the cause in the log."
                )(scope, receive, send)


def _place(error: BaseException) -> str:
    """Where in our code an error was raised: `module:line`."""
    place = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(("services.", "shared.")) or not place:
            place = f"{module}:{line}"
    return place


def create_app(runtime: Runtime, services: Sequence[Service], *, title: str = "Takedown") -> FastAPI:
    """The FastAPI application of `services`."""
    app = App(title=title, version="1", docs_url=None, redoc_url=None)
    app.state.database = runtime.database
    app.state.services = frozenset(service.name for service in services)
    app.state.provided = {
        Runtime: runtime,
        type(runtime): runtime,
        **{type(one): one for service in services for one in service.provides()},
    }
    problems.install(app)
    streamed: set[str] = set()
    larger = {
        "/v1/sightings": runtime.policy.sightings_max_body_bytes,
        "/v1/reports": runtime.policy.reports_max_body_bytes,
        "/v1/hosts": runtime.policy.directory_max_body_bytes,
    }
    app.add_middleware(BodyLimit, max_bytes=runtime.policy.api_max_body_bytes, streamed=streamed, larger=larger)
    app.add_middleware(TrustedHosts, names=names_of(runtime.settings))
    app.add_middleware(UnexpectedErrors)  # added last: outside the others

    @app.get("/", include_in_schema=False)
    async def front() -> HTMLResponse:
        return front_page(runtime.settings, [service.name for service in services])

    @app.get("/health/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready", include_in_schema=False)
    async def ready() -> JSONResponse:
        reasons = {service.name: list(service.not_ready()) for service in services}
        if not await runtime.database.reached():
            reasons["database"] = ["the database is not reached"]
        if not await _reached(runtime.log):
            reasons["log"] = ["the event log is not reached"]
        waiting = {name: why for name, why in reasons.items() if why}
        if waiting:
            return JSONResponse({"status": "not ready", "reasons": waiting}, status_code=503)
        return JSONResponse({"status": "ready"})

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    for service in services:
        for router in service.routers():
            app.include_router(router)
            streamed.update(route.path for route in router.routes if isinstance(route, LinesRoute))
    return app


async def _reached(event_log: EventLog) -> bool:
    """Whether the event log answers in time; one without our topics does not."""
    try:
        async with asyncio.timeout(LOG_REACHED_WITHIN_SECONDS):
            await event_log.end(TopicPartition(topic=CONTENT.name, partition=0))
    except (TakedownError, TimeoutError):
        return False
    return True
