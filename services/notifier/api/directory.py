"""The API of operations staff for the directory and for what goes out at all."""

from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, ConfigDict

from services.notifier.application.unit_of_work import UnitOfWorkFactory
from services.notifier.channels.dispatch import send
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
from shared.urls import BadUrl, canonical


class BadFile(Problem):
    """The directory file has errors, and nothing was imported."""

    status = 422
    kind = "urn:takedown:problem:directory"


class OutboundAsked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    on: bool


def router(applier: UnitOfWorkFactory) -> APIRouter:
    """The routes."""
    routes = APIRouter(prefix="/v1", tags=["directory"])
    runtime = applier.runtime
    database = runtime.database

    @routes.post("/hosts")
    async def import_hosts(principal: Operations, request: Request) -> dict[str, int]:
        try:
            text = (await request.body()).decode("utf-8")
        except UnicodeDecodeError:
            raise Invalid("The file is not UTF-8. Save it as UTF-8 and send it again.") from None
        try:
            async with database.transaction() as tx:
                imported = await store.import_csv(tx, runtime.keys, text)
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
        return {"added": imported.added, "changed": imported.changed, "unchanged": imported.unchanged}

    @routes.get("/hosts")
    async def list_hosts(_: Operations) -> dict[str, Any]:
        async with database.transaction() as tx:
            hosts = await store.list_hosts(tx)
            held = await outbound_switch.holds(tx)
        return {"items": [_shown(one, held) for one in hosts], "holds": held}

    @routes.post("/hosts/{organisation}/test")
    async def test_host(principal: Operations, organisation: str) -> dict[str, Any]:
        async with database.transaction() as tx:
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
        attempted = await send(runtime, channel, endpoint, letter, message_id=message_id)
        if attempted.outcome is AttemptOutcome.ACCEPTED:
            async with database.transaction() as tx:
                await store.mark_endpoint_works(tx, organisation)
        return {
            "message_id": message_id,
            "channel": channel,
            "outcome": attempted.outcome,
            "reason": attempted.reason,
            "status": attempted.status,
        }

    @routes.post("/hosts/{domain}/hold")
    async def hold(principal: Operations, domain: str) -> dict[str, Any]:
        name = _domain(domain)
        async with database.transaction() as tx:
            await outbound_switch.hold(tx, name, by=principal.person_id)
            await audit.record(tx, principal, action="host.held", object_kind="domain", object_id=name)
        return {"domain": name, "held": True}

    @routes.post("/hosts/{domain}/release")
    async def release(principal: Operations, domain: str) -> dict[str, Any]:
        name = _domain(domain)
        async with database.transaction() as tx:
            if not await outbound_switch.release(tx, name):
                raise NotFound("This domain is not on hold. `takedown hosts list` shows what is.")
            await audit.record(tx, principal, action="host.released", object_kind="domain", object_id=name)
        return {"domain": name, "held": False}

    @routes.get("/outbound")
    async def get_outbound(_: Operations) -> dict[str, Any]:
        async with database.transaction() as tx:
            return {"on": await outbound_switch.is_on(tx), "holds": await outbound_switch.holds(tx)}

    @routes.post("/outbound")
    async def set_outbound(principal: Operations, asked: Annotated[OutboundAsked, Body()]) -> dict[str, Any]:
        if asked.on and runtime.settings.public_url is None:
            raise Conflict(
                "TAKEDOWN_PUBLIC_URL is not set, so no recipient could answer. Set it and start the service again."
            )
        async with database.transaction() as tx:
            await outbound_switch.switch(tx, on=asked.on, by=principal.person_id)
            action = "outbound.on" if asked.on else "outbound.off"
            await audit.record(tx, principal, action=action, object_kind="outbound", object_id="outbound")
        return {"on": asked.on}

    return routes


def _may_be_tested(host: store.Host, held: list[str], *, is_on: bool) -> None:
    """Rules 5 and 7: a test is a message too. Raises Conflict."""
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


def _shown(host: store.Host, held: list[str]) -> dict[str, Any]:
    return {
        "organisation": host.organisation,
        "name": host.name,
        "domains": list(host.domains),
        "rung": host.rung,
        "webhook_url": host.webhook_url,
        "webhook_secrets": host.webhook_secrets,
        "webhook_gone_at": host.webhook_gone_at,
        "email": host.email,
        "next_rung": host.next_rung,
        "posture": host.posture,
        "bound_by": list(host.bound_by),
        "country": host.country,
        "held": any(is_same_or_under(domain, one) for domain in host.domains for one in held),
        "updated_at": host.updated_at,
    }


def _domain(text: str) -> str:
    try:
        return canonical(f"https://{text}/").host
    except BadUrl as error:
        raise Invalid(error.title, parameter="domain") from None
