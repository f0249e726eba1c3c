"""The services' APIs as the person signed in: in this process where it serves them, else over HTTP."""

from __future__ import annotations

from fastapi import Request

from services.console.session import SignedIn
from shared.http.api_client import ApiClient
from shared.process.settings import Settings


def intake(request: Request, signed_in: SignedIn, settings: Settings) -> ApiClient:
    """Intake's API; to be used in `async with`."""
    return _client(request, signed_in, "intake", settings.intake_url)


def notifier(request: Request, signed_in: SignedIn, settings: Settings) -> ApiClient:
    """The notifier's API; to be used in `async with`."""
    return _client(request, signed_in, "notifier", settings.notifier_url)


def _client(request: Request, signed_in: SignedIn, service: str, url: str) -> ApiClient:
    if service in request.app.state.services:
        return ApiClient.in_process(request.app, signed_in.secret)
    return ApiClient(url, signed_in.secret)
