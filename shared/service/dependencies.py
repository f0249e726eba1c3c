"""What a route asks its app for: the runtime, and the objects a service provides, each by its type."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from shared.service.runtime import Runtime

Kind = TypeVar("Kind")


def provided(kind: type[Kind]) -> Callable[[Request], Awaitable[Kind]]:
    """A FastAPI dependency: the one object of this type that `create_app` was given. Raises KeyError where there is none."""

    async def dependency(request: Request) -> Kind:
        found: Kind = request.app.state.provided[kind]
        return found

    return dependency


ServiceRuntime = Annotated[Runtime, Depends(provided(Runtime))]
