"""What the services know of a case: its row, its pictures, and what became of each link. Read by the desk and by `takedown case`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from services.console.words import Line, Tone, line_of_report, line_of_takedown, told
from shared.http.api_client import ApiClient, ApiRefused
from shared.urls import split_url

Json = Mapping[str, Any]
_FIRST = (Tone.UP, Tone.ASKED, Tone.WAIT, Tone.GONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFacts:
    """`case`, `claims`, `reports`, `takedowns`: as the APIs show them. `lines`: a line a link, by site, what is still up first."""

    case: Json
    claims: Sequence[Json] = ()
    reports: Sequence[Json] = ()
    takedowns: Sequence[Json] = ()
    lines: Sequence[Line] = ()

    @property
    def sites(self) -> list[tuple[str, list[Line]]]:
        return [(site, list(of_site)) for site, of_site in groupby(self.lines, key=lambda line: line.site)]

    def told(self, now: datetime) -> list[str]:
        """What can be told to the caller."""
        return told(self.lines, now=now, waiting=self.case["waiting"], paused=self.case["state"] == "paused")


async def find_case(intake: ApiClient, case_ref: str) -> Json | None:
    """The case of this reference, with what is written in it; None for one that is not there."""
    found = (await intake.get("/v1/cases", case_ref=case_ref, limit=1))["items"]
    if not found:
        return None
    shown: Json = await intake.get(f"/v1/cases/{found[0]['case_id']}")
    return shown


async def how_it_ended(intake: ApiClient, case_ref: str) -> Json | None:
    """Why and when the last case of this reference ended (`reason`, `ended_at`)."""
    try:
        shown: Json = await intake.get("/v1/cases/ended", case_ref=case_ref)
    except ApiRefused as error:
        if error.status == 404:
            return None
        raise
    return shown


async def facts_of_case(intake: ApiClient, notifier: ApiClient, case: Json) -> CaseFacts:
    """All there is to know of it now."""
    case_ref = case["case_ref"]
    if case_ref is None:
        return CaseFacts(case=case)
    claims = [claim async for claim in intake.items("/v1/claims", case_ref=case_ref)]
    reports = [one async for one in intake.items("/v1/reports", case_ref=case_ref)]
    takedowns = [
        one
        for claim in claims
        if claim["state"] != "withdrawn"
        async for one in notifier.items("/v1/takedowns", claim_id=claim["claim_id"])
    ]
    waits_for = {one["takedown_id"]: one["kind"] async for one in notifier.items("/v1/tasks")} if takedowns else {}
    lines = _lines(takedowns, reports, waits_for)
    return CaseFacts(case=case, claims=claims, reports=reports, takedowns=takedowns, lines=lines)


def _lines(takedowns: Sequence[Json], reports: Sequence[Json], waits_for: Mapping[str, str]) -> list[Line]:
    """A line a takedown, and one for each reported link that none came of."""
    shown = {one["takedown_id"]: line_of_takedown(one, waits_for.get(one["takedown_id"])) for one in takedowns}
    reported = {one["url"]: one for one in reversed(reports) if not set(one["takedown_ids"]) & set(shown)}
    lines = [*shown.values(), *(line_of_report(one, split_url(url).hostname or "") for url, one in reported.items())]
    return sorted(lines, key=lambda line: (line.site, _FIRST.index(line.tone), line.url or ""))
