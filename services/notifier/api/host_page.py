"""The capability page: a demand, and a form to answer it, for a recipient with a mailbox and a browser.

Mail scanners follow links, so a GET changes nothing and shows no link that does; an answer is a POST with a choice. It works
without JavaScript, and a content security policy allows none.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.notifier.application import host_answers
from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.domain.builder import SETTLED
from services.notifier.domain.events import RemovalMethod, ResponseReason
from services.notifier.regimes import REGIMES
from services.notifier.store import takedowns
from services.notifier.store.answers import Kept
from shared.http.problems import Conflict
from shared.process.settings import Settings
from shared.service.dependencies import ServiceRuntime, provided
from shared.service.runtime import Runtime
from shared.urls import defanged

TITLE = "A request to remove content"
FREE_TEXT_CHARACTERS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer that the page offers."""

    value: str
    label: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Choices that stand together under a heading."""

    title: str
    choices: tuple[Choice, ...]


GROUPS = (
    Group(
        title="It is no longer available",
        choices=(
            Choice(value="removal-deleted", label="We deleted it"),
            Choice(
                value="removal-disabled",
                label="We disabled access to it",
                hint="You still have it, but nobody can reach it.",
            ),
            Choice(value="removal-by_uploader", label="The uploader removed it"),
            Choice(
                value="removal-geoblocked",
                label="We blocked it in some countries",
                hint="It can still be reached from others, so this does not end our request.",
            ),
            Choice(value="response-already_removed", label="It was gone before you asked"),
        ),
    ),
    Group(
        title="We are looking at it",
        choices=(Choice(value="acknowledgement", label="We received this and are working on it"),),
    ),
    Group(
        title="We cannot do this",
        choices=(
            Choice(value="response-not_hosted_here", label="It is not hosted by us"),
            Choice(value="response-wrong_recipient", label="You asked the wrong organisation"),
            Choice(value="response-not_authorised", label="We are not allowed to decide this"),
            Choice(value="response-insufficient_information", label="We need more information"),
            Choice(value="response-legal", label="The law does not let us do this"),
        ),
    ),
    Group(
        title="There is something you should know",
        choices=(
            Choice(value="response-consent_claimed", label="The uploader says that the person consented"),
            Choice(value="response-not_ncii", label="This is not an intimate image shared without consent"),
            Choice(
                value="response-possible_minor",
                label="The person may be under 18",
                hint="Please send it to nobody but the police or your national hotline.",
            ),
        ),
    ),
)
LABELS = {choice.value: choice.label for group in GROUPS for choice in group.choices}


routes = APIRouter(include_in_schema=False)

WorkFactory = Annotated[UnitOfWorkFactory, Depends(provided(UnitOfWorkFactory))]


def render(settings: Settings, status: int, **values: Any) -> HTMLResponse:
    """The HTML page with these values."""
    nonce = secrets.token_urlsafe(16)
    context = {
        "title": TITLE,
        "organisation": settings.organisation_name,
        "contact": settings.organisation_contact,
        "complaints": settings.organisation_complaints,
        "nonce": nonce,
        "groups": GROUPS,
        "demand": None,
        "received": "",
        "error": "",
        "chosen": "",
        "law": "",
    }
    html = _pages().get_template("demand.html").render(context | values)
    return HTMLResponse(html, status_code=status, headers=headers(nonce))


async def find(runtime: Runtime, token: str) -> tuple[takedowns.DemandOwner, host_answers.Shown] | None:
    """The demand of this token, and what may be shown of it."""
    async with runtime.database.transaction() as tx:
        owner = await takedowns.owner_of_token(tx, token)
        return None if owner is None else (owner, await host_answers.show(tx, runtime, owner))


@routes.get("/host/d/{token}")
async def show_page(token: str, runtime: ServiceRuntime) -> HTMLResponse:
    """The demand. Nothing changes."""
    found = await find(runtime, token)
    if found is None:
        return render(runtime.settings, 404)
    return render(runtime.settings, 200, demand=found[1], law=_law(found[1]))


@routes.post("/host/d/{token}")
async def answer_on_page(
    token: str,
    work: WorkFactory,
    choice: Annotated[str, Form()] = "",
    ticket_ref: Annotated[str, Form()] = "",
    suggested_recipient: Annotated[str, Form()] = "",
    text: Annotated[str, Form()] = "",
) -> HTMLResponse:
    """Take the answer that was chosen, and show the demand with it."""
    runtime = work.runtime
    found = await find(runtime, token)
    if found is None:
        return render(runtime.settings, 404)
    owner, demand = found
    if demand.item is None or demand.state in SETTLED:
        return render(runtime.settings, 409, demand=demand)
    if choice not in LABELS:
        return render(
            runtime.settings,
            422,
            demand=demand,
            law=_law(demand),
            error="Please choose one of the answers below, then press the button again.",
        )
    given = answer_of(choice, runtime.clock(), ticket_ref=ticket_ref, suggested=suggested_recipient, text=text)
    try:
        await host_answers.receive_answer(work, owner, given, via="page")
    except Conflict as refused:
        return render(runtime.settings, 409, demand=demand, law=_law(demand), error=refused.detail)
    found = await find(runtime, token)
    assert found is not None
    return render(
        runtime.settings,
        200,
        demand=found[1],
        law=_law(found[1]),
        received=f"“{LABELS[choice]}.” We will look again ourselves. Thank you.",
    )


def answer_of(choice: str, now: datetime, *, ticket_ref: str, suggested: str, text: str) -> host_answers.Answer:
    """The answer behind a choice of the page; texts are cut to what an answer takes."""
    kind, _, word = choice.partition("-")
    ticket, words = _said(ticket_ref, 200), _said(text, FREE_TEXT_CHARACTERS)
    if kind == "acknowledgement":
        return host_answers.Acknowledgement(ticket_ref=ticket, text=words)
    if kind == "removal":
        return host_answers.Removal(at=now, method=RemovalMethod(word), ticket_ref=ticket, text=words)
    return host_answers.Response(
        reason=ResponseReason(word),
        suggested_recipient=_said(suggested, 200),
        ticket_ref=ticket,
        text=words,
    )


def _said(text: str, most: int) -> str | None:
    """A text of the form, without characters that no table takes: a multipart form may name a charset that makes them (UTF-7)."""
    return text.encode(errors="ignore").decode().replace("\0", "").strip()[:most] or None


def headers(nonce: str) -> dict[str, str]:
    """Headers of the page: not cached, no `Referer` sent on, not indexed, not framed, no scripts, and no request to any other server."""
    return {
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Robots-Tag": "noindex, nofollow",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": (
            f"default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        ),
    }


def _law(demand: host_answers.Shown) -> str:
    regime = demand.item.regime if demand.item else None
    return REGIMES[regime].section if regime in REGIMES else ""


@cache
def _pages() -> Environment:
    pages = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )
    pages.filters["defanged"] = defanged
    pages.filters["moment"] = _moment
    pages.filters["label"] = label_of
    return pages


def label_of(answer: Kept) -> str:
    """An answer that was kept, in the words of its choice."""
    return LABELS[answer.kind if answer.word is None else f"{answer.kind}-{answer.word}"]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%-d %B %Y, %H:%M UTC")
