"""`POST /v1/sightings`: a 2xx says that the log has acknowledged what was accepted. No table, no outbox in between.

A JSON array is answered item by item; a stream of lines (NDJSON), of any length, with counts and its first refusals.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from pydantic import SkipValidation
from starlette.requests import ClientDisconnect

from services.intake.api.answers_to_crawlers import (
    AcceptedSighting,
    LineRefusal,
    LinesAnswer,
    RefusedSighting,
    SightingFieldError,
    SightingProblem,
    SightingsAnswer,
)
from services.intake.api.idempotency import KEY_OPTIONAL, RequestKey, claim_key, request_key, stored_answer
from services.intake.domain.schemas import SightingRequest
from services.intake.domain.sightings import SightingRefusal, batched, parse_sighting
from services.intake.sightings.ndjson import Tally, take_lines
from services.intake.sightings.publisher import LogWriter
from shared.access.auth import Crawler, still_valid
from shared.access.keys import Principal
from shared.contracts.sightings import Sighting
from shared.contracts.topics import SIGHTINGS
from shared.db.pool import Database
from shared.errors import Transient
from shared.http.json_arrays import JsonArrayRoute
from shared.http.ndjson import LinesRoute, body_of_lines
from shared.http.problems import Invalid, Unauthenticated, problem_response
from shared.process.event_loop import in_turns
from shared.process.metrics import SIGHTINGS as SIGHTINGS_COUNTED
from shared.service.dependencies import ServiceRuntime, provided
from shared.service.runtime import Runtime

SOURCE = "intake"

_KEY_LOOKED_AT_SECONDS = 10.0
"""A stream may go on for hours: a key revoked meanwhile ends it."""


lines_routes = APIRouter(prefix="/v1", tags=["sightings"], route_class=LinesRoute)
"""The stream of lines. To be included before `routes`: it takes its media type alone."""
routes = APIRouter(prefix="/v1", tags=["sightings"], route_class=JsonArrayRoute)

Writer = Annotated[LogWriter, Depends(provided(LogWriter))]


@lines_routes.post("/sightings", include_in_schema=False)
async def post_lines(principal: Crawler, runtime: ServiceRuntime, writer: Writer, request: Request) -> Response:
    """A sighting a line, each accepted or refused by itself. No `Idempotency-Key`: a sighting sent again is the same one."""
    return await _take_lines(runtime, writer, principal, request)


@routes.post(
    "/sightings",
    summary="Send sightings",
    response_model=SightingsAnswer | LinesAnswer,
    openapi_extra={**KEY_OPTIONAL, **body_of_lines(SightingRequest)},
)
async def post_sightings(
    principal: Crawler,
    runtime: ServiceRuntime,
    writer: Writer,
    request: Request,
    items: list[SkipValidation[SightingRequest]],
) -> JSONResponse:
    """Up to 1,000 sightings, each accepted or refused by itself. The answer's items stand in the order of the request's.

    As `application/x-ndjson`, a sighting a line, a request may have any length. Its answer comes when the log has acknowledged
    all that was accepted: how many `lines`, `accepted`, `refused`, and the first 1,000 `refusals`. A line over 64 KiB is refused by
    itself. Sending all of it again is harmless. A 503 or 401 on the way says after how many `lines` all was settled.
    """
    if len(items) > runtime.policy.sightings_per_request:
        raise Invalid(
            f"Send at most {runtime.policy.sightings_per_request} sightings at once, or stream them as application/x-ndjson.",
            pointer="#",
        )
    now = runtime.clock()
    key = await request_key(request, principal, runtime.keys, required=False)
    done_at = await _already_done(runtime.database, key)
    seen_by, at = principal.organisation_id, done_at or now
    by_key = runtime.keys.reported_by_of(principal.key_id)
    parsed = await in_turns(
        partial(parse_sighting, item, organisation_id=seen_by, now=at, reported_by=by_key) for item in items
    )
    if done_at is None:
        await _publish(writer, [one for one in parsed if isinstance(one, Sighting)], now)
        await _remember(runtime.database, key)
    answer = SightingsAnswer(items=[_answer(index, one) for index, one in enumerate(parsed)])
    return JSONResponse(answer.model_dump(mode="json"))


async def _take_lines(runtime: Runtime, writer: LogWriter, principal: Principal, request: Request) -> Response:
    tally = Tally()

    async def publish(sightings: list[Sighting]) -> None:
        await _publish(writer, sightings, runtime.clock())

    try:
        await take_lines(
            _while_valid(runtime.database, principal, request.stream()),
            tally,
            max_line_bytes=runtime.policy.sighting_line_max_bytes,
            organisation_id=principal.organisation_id,
            reported_by=runtime.keys.reported_by_of(principal.key_id),
            clock=runtime.clock,
            publish=publish,
        )
    except ClientDisconnect:
        return Response(status_code=499)  # nobody is there to read it; what was acknowledged stays
    except Unauthenticated as error:
        return problem_response(401, error.title, kind=error.kind, detail=error.detail, lines=tally.lines)
    except Transient as error:
        after = {"Retry-After": str(int(error.after_seconds or 1))}
        return problem_response(
            503,
            "Not available just now.",
            detail=error.title,
            headers=after,
            lines=tally.lines,
            accepted=tally.accepted,
        )
    finally:
        SIGHTINGS_COUNTED.labels("refused").inc(tally.refused)
    answer = LinesAnswer(
        lines=tally.lines,
        accepted=tally.accepted,
        refused=tally.refused,
        refusals=[LineRefusal(**one) for one in tally.refusals],
    )
    return JSONResponse(answer.model_dump(mode="json"))


async def _while_valid(database: Database, principal: Principal, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks, as long as the key is not revoked. Raises Unauthenticated."""
    looked_at = time.monotonic()
    async for chunk in chunks:
        if time.monotonic() - looked_at > _KEY_LOOKED_AT_SECONDS:
            if not await still_valid(database, principal):
                raise Unauthenticated("This key has been revoked. Ask your operations staff for a new one.")
            looked_at = time.monotonic()
        yield chunk


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


def _answer(index: int, one: Sighting | SightingRefusal) -> AcceptedSighting | RefusedSighting:
    if isinstance(one, Sighting):
        return AcceptedSighting(index=index, sighting_id=one.sighting_id)
    SIGHTINGS_COUNTED.labels("refused").inc()
    errors = [SightingFieldError(pointer=pointer, detail=detail) for pointer, detail in one.errors]
    return RefusedSighting(index=index, problem=SightingProblem(title=Invalid("").title, errors=errors))
