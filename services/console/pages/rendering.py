"""Pages from templates, with the headers that each has: nothing is cached, nothing is framed, and all comes from our own address."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.console.session import SignedIn
from shared.process.settings import Settings

_TEMPLATES = Path(__file__).parents[1] / "templates"

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
    "X-Content-Type-Options": "nosniff",
    # No page of ours fetches anything by script: what a form sends is all that leaves a browser.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self'; img-src 'self'; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    ),
}


def page(
    settings: Settings, template: str, at_desk: SignedIn | None, *, status: int = 200, **values: Any
) -> HTMLResponse:
    """A page of the desk. `at_desk` None: nobody is signed in."""
    html = (
        _templates()
        .get_template(template)
        .render(
            organisation=settings.organisation_name,
            person=None if at_desk is None else at_desk.principal.person_id,
            form_token="" if at_desk is None else at_desk.form_token,
            **values,
        )
    )
    return HTMLResponse(html, status_code=status, headers=HEADERS)


@cache
def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
