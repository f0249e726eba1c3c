"""One FastAPI app for one or several services: problems, body limit, health and metrics."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.runtime import Runtime, Service
from shared.web import problems


class BodyTooLarge(Exception):
    """The body went past the limit while it was read."""


class BodyLimit:
    """ASGI middleware: 413 for a body over `max_bytes`, announced or counted. `unlimited` paths stream and count for themselves."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, unlimited: frozenset[str] = frozenset()) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.unlimited = unlimited

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        streaming = headers.get(b"content-type", b"").startswith(b"application/x-ndjson")
        if streaming and scope["path"] in self.unlimited:
            await self.app(scope, receive, send)
            return
        announced = headers.get(b"content-length", b"0")
        if not announced.isdigit() or int(announced) > self.max_bytes:
            await self._refuse(scope, receive, send)
            return
        seen = 0
        started = False

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.max_bytes:
                    raise BodyTooLarge
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, counted, watched)
        except BodyTooLarge:
            if not started:
                await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        error = problems.TooLarge(f"at most {self.max_bytes} bytes")
        response = problems.problem_response(error.status, error.title, kind=error.kind, detail=error.detail)
        await response(scope, receive, send)


def create_app(runtime: Runtime, services: Sequence[Service], *, title: str = "Takedown") -> FastAPI:
    """The HTTP face of `services`."""
    app = FastAPI(title=title, version="1", docs_url=None, redoc_url=None)
    app.state.database = runtime.database
    problems.install(app)
    app.add_middleware(BodyLimit, max_bytes=runtime.policy.api_max_body_bytes, unlimited=frozenset({"/v1/sightings"}))

    @app.get("/health/live", include_in_schema=False)
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready", include_in_schema=False)
    async def ready() -> JSONResponse:
        reasons = {service.name: list(service.not_ready()) for service in services}
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
    return app
