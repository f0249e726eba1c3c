"""The console service: pages for the people who work here. It is a client of the other services' APIs, as the person signed in, and
owns no table."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from fastapi import APIRouter

from services.console.pages import cases, confirming, lists, new_case, sign_in, static_files, stopping, the_call
from shared.service.runtime import Runtime


class ConsoleService:
    """The desk of the helpline."""

    name = "console"

    def routers(self) -> Sequence[APIRouter]:
        return (
            *(static_files.routes, sign_in.routes, lists.routes, the_call.routes, new_case.routes),
            *(confirming.routes, stopping.routes, cases.routes),
        )

    def provides(self) -> Sequence[object]:
        return ()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def not_ready(self) -> Sequence[str]:
        return ()


def create(_runtime: Runtime) -> ConsoleService:
    """The service. Its routes take the runtime of the application that serves them."""
    return ConsoleService()
