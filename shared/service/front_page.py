"""The page at `/`: what runs here and where to go, for somebody who opened the address in a browser. It tells no state and no name of
a case, and needs no key."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from html import escape

from fastapi.responses import HTMLResponse

from shared.process.settings import Settings

SERVICES = {
    "intake": "takes claims, sightings and reports",
    "matcher": "compares what is seen with the register",
    "notifier": "checks targets, sends demands and takes the answers of hosts",
    "console": "has the pages for the people who work here",
}


def front_page(settings: Settings, names: Sequence[str]) -> HTMLResponse:
    """`names`: the services of this process."""
    nonce = secrets.token_urlsafe(16)
    running = "".join(f"<li><strong>{escape(name)}</strong> {escape(SERVICES.get(name, ''))}</li>" for name in names)
    page = _PAGE.format(
        nonce=nonce,
        organisation=escape(settings.organisation_name),
        contact=escape(settings.organisation_contact),
        complaints=escape(settings.organisation_complaints),
        running=running,
    )
    return HTMLResponse(page, headers=_headers(nonce))


def _headers(nonce: str) -> dict[str, str]:
    return {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    }


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, nofollow">
<title>Takedown · {organisation}</title>
<style nonce="{nonce}">
:root {{ color-scheme: light dark; }}
body {{ margin: 0; font: 1rem/1.55 system-ui, sans-serif; }}
main {{ max-width: 44rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; }}
h2 {{ font-size: 1.125rem; }}
code {{ overflow-wrap: anywhere; }}
</style>
</head>
<body>
<main>
<h1>Takedown is running here</h1>
<p>{organisation} uses it to have intimate images removed that were shared without consent.</p>
<h2>You received a demand</h2>
<p>Use the link in the message: it opens the page where you can read the demand and answer it. Questions: {contact}.
Complaints: {complaints}.</p>
<h2>You work here</h2>
<p>Helpline staff work at <a href="/desk">the desk</a>, with a link to sign in that operations staff make. Operations staff use the
command line on this machine: <code>takedown watch</code> shows what is going on, and <code>takedown --help</code> lists the rest.</p>
<h2>You are connecting a program</h2>
<p>The API is described in <a href="/openapi.json">openapi.json</a>. Every call needs a key, which operations staff make.
<a href="/health/ready">/health/ready</a> says whether everything works.</p>
<h2>Running in this process</h2>
<ul>{running}</ul>
</main>
</body>
</html>
"""
