"""The API of operations staff for the directory of hosts, and for whether anything is sent at all."""

from __future__ import annotations

from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Body, Depends, Request
from pydantic import BaseModel, ConfigDict

from services.notifier.api import answers
from services.notifier.channels.dispatch import send_rendered
from services.notifier.channels.result import AttemptOutcome
from services.notifier.delivery import outbound_switch
from services.notifier.directory import store
from services.notifier.directory.csv_import import BadDirectory
from services.notifier.domain import contact_rules
from services.notifier.domain.ladder import is_same_or_under
from services.notifier.notices import render
from shared.access import audit
from shared.access.auth import Operations
from shared.access.keyring import OtherRootKey
from shared.http.problems import Conflict, Invalid, NotFound, Problem
from shared.service.dependencies import ServiceRuntime, provided
from shared.service.runtime import OutboundRuntime
from shared.urls import BadUrl, canonical, is_public_suffix


class BadFile(Problem):
    """The directory file has errors, and nothing was imported."""

    status = 422
    kind = "urn:takedown:problem:directory"


class OutboundAsked(BaseModel):
    """Which way to turn the switch."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"on": False}]})

    on: bool


routes = APIRouter(prefix="/v1", tags=["directory"])

OutboundServiceRuntime = Annotated[OutboundRuntime, Depends(provided(OutboundRuntime))]
"""A runtime that may send."""

CSV_EXAMPLE = """organisation,domains,webhook_url,webhook_secrets
example-host,host.example,https://host.example/takedown,whsec_…
"""


@routes.post(
    "/hosts",
    summary="Import the directory",
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"text/csv": {"schema": {"type": "string"}, "example": CSV_EXAMPLE}},
        }
    },
)
async def import_hosts(
    principal: Operations, runtime: OutboundServiceRuntime, request: Request
) -> answers.HostsImported:
    """Import a directory file (CSV, UTF-8): all of it, or nothing if it has an error. Organisations that it does not name stay."""
    try:
        text = (await request.body()).decode("utf-8")
    except UnicodeDecodeError:
        raise Invalid("The file is not UTF-8. Save it as UTF-8 and send it again.") from None
    try:
        async with runtime.database.transaction() as tx:
            imported = await store.import_csv(tx, runtime.keys, text, refused=runtime.webhooks.refusal_of_post)
            await audit.record(
                tx,
                principal,
                action="hosts.imported",
                object_kind="directory",
                object_id=imported.added + imported.changed,
            )
    except BadDirectory as error:
        lines = [{"line": one.line, "column": one.column, "detail": one.text} for one in error.errors]
        raise BadFile(
            "Correct it and import it again."
            if len(lines) == 1
            else f"Correct its {len(lines)} errors and import it again.",
            lines=lines,
        ) from None
    return answers.HostsImported(added=imported.added, changed=imported.changed, unchanged=imported.unchanged)


@routes.get("/hosts", summary="List the directory")
async def list_hosts(_: Operations, runtime: ServiceRuntime) -> answers.HostList:
    """Every organisation of the directory, how it is reached, and which domains are on hold."""
    async with runtime.database.transaction() as tx:
        hosts = await store.list_hosts(tx)
        held = await outbound_switch.holds(tx)
    return answers.HostList(items=[_shown(one, held) for one in hosts], holds=held)


@routes.post("/hosts/{organisation}/test", summary="Send a test message")
async def test_host(principal: Operations, runtime: OutboundServiceRuntime, organisation: str) -> answers.HostTested:
    """Send an organisation a message that asks for nothing, and say what became of it."""
    async with runtime.database.transaction() as tx:
        found = await store.list_hosts(tx, organisation=organisation)
        try:
            endpoint = await store.endpoint_of(tx, runtime.keys, organisation)
        except OtherRootKey as error:
            raise Conflict(error.title, reason="other_root_key") from None
        if not found or endpoint is None:
            raise NotFound("No organisation in the directory has this key. `takedown hosts list` shows them.")
        _may_be_tested(found[0], await outbound_switch.holds(tx), is_on=await outbound_switch.is_on(tx))
        await audit.record(tx, principal, action="host.tested", object_kind="host", object_id=organisation)
    # A disabled endpoint is what a test is for.
    channel: store.Channel = "webhook" if endpoint.webhook_url else "email"
    message_id = uuid4()
    letter = render.test_letter(runtime.settings, message_id=message_id, at=runtime.clock())
    attempted = await send_rendered(runtime, channel, endpoint, letter, message_id=message_id)
    if attempted.outcome is AttemptOutcome.ACCEPTED:
        async with runtime.database.transaction() as tx:
            await store.mark_endpoint_works(tx, organisation)
    return answers.HostTested(
        message_id=message_id,
        channel=channel,
        outcome=attempted.outcome,
        reason=attempted.reason,
        status=attempted.status,
    )


@routes.post("/hosts/{domain}/hold", summary="Put a domain on hold")
async def hold_domain(principal: Operations, runtime: ServiceRuntime, domain: str) -> answers.HoldView:
    """Send nothing to whoever answers for this domain, until it is released. Checks go on. `known` false: no organisation of the
    directory and no takedown is at it, so it may be misspelt; it is on hold all the same."""
    name = _domain(domain)
    if is_public_suffix(name):
        raise Invalid(
            "Anybody may register under this name. Name the domain itself, such as example.org.", parameter="domain"
        )
    async with runtime.database.transaction() as tx:
        await outbound_switch.hold(tx, name, by=principal.person_id)
        known = await outbound_switch.is_known(tx, name)
        await audit.record(tx, principal, action="host.held", object_kind="domain", object_id=name)
    return answers.HoldView(domain=name, held=True, known=known)


@routes.post("/hosts/{domain}/release", summary="Release a domain")
async def release_domain(principal: Operations, runtime: ServiceRuntime, domain: str) -> answers.HoldView:
    """End the hold of a domain; what is due goes out."""
    name = _domain(domain)
    async with runtime.database.transaction() as tx:
        if not await outbound_switch.release(tx, name):
            raise NotFound("This domain is not on hold. `takedown hosts list` shows what is.")
        await audit.record(tx, principal, action="host.released", object_kind="domain", object_id=name)
    return answers.HoldView(domain=name, held=False)


@routes.get("/outbound", summary="Read the outbound switch")
async def get_outbound(_: Operations, runtime: ServiceRuntime) -> answers.OutboundView:
    """Whether anything is sent at all, and which domains are on hold."""
    async with runtime.database.transaction() as tx:
        return answers.OutboundView(on=await outbound_switch.is_on(tx), holds=await outbound_switch.holds(tx))


@routes.post("/outbound", summary="Turn the outbound switch")
async def set_outbound(
    principal: Operations, runtime: ServiceRuntime, asked: Annotated[OutboundAsked, Body()]
) -> answers.OutboundChanged:
    """Stop all sending within a second, or let it go on. Checks go on either way."""
    if asked.on and runtime.settings.public_url is None:
        raise Conflict(
            "TAKEDOWN_PUBLIC_URL is not set, so no recipient could answer. Set it and start the service again."
        )
    async with runtime.database.transaction() as tx:
        await outbound_switch.switch(tx, on=asked.on, by=principal.person_id)
        action = "outbound.on" if asked.on else "outbound.off"
        await audit.record(tx, principal, action=action, object_kind="outbound", object_id="outbound")
    return answers.OutboundChanged(on=asked.on)


def _may_be_tested(host: store.Host, held: list[str], *, is_on: bool) -> None:
    """Check that a test may be sent: it is a message too (rules 5 and 7). Raises Conflict."""
    if not is_on:
        raise Conflict(
            "Outbound is off, so nothing is sent, not even a test. `takedown outbound on` turns it on.",
            reason="outbound_off",
        )
    if contact_rules.refusal_of_test(host.organisation_view(mail=True)) is not None:
        raise Conflict(
            "The directory lists this organisation as hostile, and nothing is ever sent to it.", reason="hostile"
        )
    if any(is_same_or_under(domain, one) for domain in host.domains for one in held):
        raise Conflict("This organisation is on hold. `takedown hosts release DOMAIN` ends that.", reason="held")


def _shown(host: store.Host, held: list[str]) -> answers.HostView:
    return answers.HostView(
        organisation=host.organisation,
        name=host.name,
        domains=list(host.domains),
        rung=host.rung,
        webhook_url=host.webhook_url,
        webhook_secrets=host.webhook_secrets,
        webhook_gone_at=host.webhook_gone_at,
        email=host.email,
        next_rung=host.next_rung,
        posture=host.posture,
        bound_by=list(host.bound_by),
        country=host.country,
        held=any(is_same_or_under(domain, one) for domain in host.domains for one in held),
        updated_at=host.updated_at,
    )


def _domain(text: str) -> str:
    try:
        return canonical(f"https://{text}/").host
    except BadUrl:
        raise Invalid("This must be a domain name, such as example.org.", parameter="domain") from None
