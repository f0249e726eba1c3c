"""`POST /v1/sightings`: a 2xx says that the log has acknowledged what was accepted. No table, no outbox in between."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from services.intake.idempotency import RequestKey, claim_key, request_key, stored_answer
from services.intake.log_writer import LogWriter
from services.intake.sightings import Refusal, batched, parse_sighting
from shared.auth import Crawler
from shared.contracts.sightings import Sighting
from shared.contracts.topics import SIGHTINGS
from shared.db.pool import Database
from shared.metrics import SIGHTINGS as SIGHTINGS_COUNTED
from shared.runtime import Runtime
from shared.web.problems import Invalid

SOURCE = "intake"


def router(runtime: Runtime, writer: LogWriter) -> APIRouter:
    """The one route of sightings."""
    routes = APIRouter(prefix="/v1", tags=["sightings"])

    @routes.post("/sightings")
    async def post_sightings(principal: Crawler, request: Request, items: list[Any]) -> JSONResponse:
        """Up to 1,000 sightings, each accepted or refused by itself. The answer's items stand in the order of the request's."""
        if len(items) > runtime.policy.sightings_per_request:
            raise Invalid(f"at most {runtime.policy.sightings_per_request} sightings", pointer="#/")
        now = runtime.clock()
        key = await request_key(request, principal, runtime.keys, required=False)
        done_at = await _already_done(runtime.database, key)
        parsed = [parse_sighting(item, organisation_id=principal.organisation_id, now=done_at or now) for item in items]
        if done_at is None:
            await _publish(writer, [one for one in parsed if isinstance(one, Sighting)], now)
            await _remember(runtime.database, key)
        return JSONResponse({"items": [_answer(index, one) for index, one in enumerate(parsed)]})

    return routes


async def _publish(writer: LogWriter, sightings: list[Sighting], now: datetime) -> None:
    """Raises LogUnavailable (503): nothing is promised, the crawler sends again and each sighting keeps its id."""
    if sightings:
        partitions = await writer.partitions_of(SIGHTINGS.name)
        await writer.publish(batched(sightings, partitions=partitions, source=SOURCE, now=now))
    SIGHTINGS_COUNTED.labels("accepted").inc(len(sightings))


async def _already_done(database: Database, key: RequestKey | None) -> datetime | None:
    """When a request of this key and body was done. Its answer is computed again, not stored: it follows from the body.

    Raises KeyReused.
    """
    if key is None:
        return None
    async with database.transaction() as tx:
        stored = await stored_answer(tx, key)
    return None if stored is None else stored.created_at


async def _remember(database: Database, key: RequestKey | None) -> None:
    if key is not None:
        async with database.transaction() as tx:
            await claim_key(tx, key)


def _answer(index: int, one: Sighting | Refusal) -> dict[str, Any]:
    if isinstance(one, Sighting):
        return {"index": index, "sighting_id": str(one.sighting_id)}
    SIGHTINGS_COUNTED.labels("refused").inc()
    return {
        "index": index,
        "problem": {
            "type": Invalid.kind,
            "title": Invalid("").title,
            "status": Invalid.status,
            "errors": [{"pointer": pointer, "detail": detail} for pointer, detail in one.errors],
        },
    }
