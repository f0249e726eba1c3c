"""The policy: every wait, limit and threshold a service keeps. One frozen value; `[policy]` in the TOML file."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Policy(BaseModel):
    """Durations are unscaled; ask `scaled` for a wait to keep. `clock_scale` scales every wait, never a number printed in a demand."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    clock_scale: float = Field(default=1.0, gt=0, le=1)

    # Before the first demand
    observation_max_age: timedelta = HOUR
    first_check_patience: timedelta = DAY
    first_check_retry_base: timedelta = 5 * MINUTE
    first_check_retry_cap: timedelta = 2 * HOUR
    max_distance_sure: int = 31
    max_distance_unsure: int = 10
    max_distance_probable: int = 50
    """Beyond what agrees, up to here: probably there still, which a person has to say."""
    flood_hosts_per_hour: int = 20
    flood_distance_over: int = 10

    # Confirming removal
    gone_confirmation_after: timedelta = HOUR
    no_such_domain_for: timedelta = 14 * DAY
    """How long the name servers have to say that the host does not exist, before that counts as gone. A time-out, a refusal or their
    failure never does."""
    silent_patience: timedelta = 72 * HOUR
    """How long looks at what was asked for may say nothing (blocked, inconclusive) before a person has a task."""
    check_inconclusive_retry: timedelta = HOUR
    open_check_every: timedelta = 12 * HOUR
    resighting_after: timedelta = DAY
    watch_at: tuple[timedelta, ...] = (HOUR, 6 * HOUR, DAY, 3 * DAY, 7 * DAY, 14 * DAY, 30 * DAY)
    watch_every: timedelta = 30 * DAY

    # What people saw
    person_look_valid_for: timedelta = DAY
    """How long a demand may rest on what one person saw and another released; it says when that was. Our own looks an hour."""
    person_gone_apart: timedelta = DAY
    """Two looks of people who see it gone are at least so far apart."""

    # Demands
    delivery_retry_base: timedelta = timedelta(seconds=5)
    delivery_retry_cap: timedelta = 30 * MINUTE
    undelivered_escalates_after: timedelta = 6 * HOUR
    voluntary_response: timedelta = 72 * HOUR
    reminder_fractions: tuple[float, ...] = (0.5, 0.9)
    preserve_days: int = 90
    first_demands_per_host_hour: int = 1000
    """First demands for one content at one host in an hour, before a person has looked at one of the rest."""
    first_demands_per_key_hour: int = 1000
    """First demands in an hour that rest on sightings or reports of one API key, before a person has looked at one of the rest."""
    answers_per_demand: int = 100
    """Different answers that are taken to one demand. The same one again is counted, and is no further one."""
    dispute_due: timedelta = DAY
    rejection_undone_alone: timedelta = 15 * MINUTE
    """How long whoever rejected may take that back alone; so long "sent in error" waits, unless a second person rejects too."""
    connections_per_host: int = 4

    # Outbound limits
    fetch_timeout_seconds: float = 20.0
    fetch_max_bytes: int = 25_000_000
    fetch_max_pixels: int = 40_000_000
    fetch_max_redirects: int = 5
    media_per_page: int = 50
    browser_looks_per_hour: int = 600
    """Of one process; each takes some two seconds of a processor. One that lasts longer than its part of the hour counts as several."""
    browser_site_share: float = Field(default=0.25, gt=0)
    """Of the hour's looks that are left, one site (registrable domain) may have had so much: a fifth of the hour where it is alone."""
    browser_watch_at: tuple[timedelta, ...] = (HOUR, 7 * DAY, 30 * DAY)
    """Those of `watch_at` at which a browser looks, too; the later ones are."""
    webhook_timeout_seconds: float = 10.0
    webhook_max_answer_bytes: int = 64 * 1024

    # Intake
    api_max_body_bytes: int = 128 * 1024
    """Of a request. What is read as one piece is read at once, and nobody else is served in that time."""
    sightings_max_body_bytes: int = 2 * 1024 * 1024
    """Of sightings as one JSON array, which is read entry by entry; a stream of lines has no such limit."""
    reports_max_body_bytes: int = 512 * 1024
    """Of reports as one JSON array, which is read so, too."""
    directory_max_body_bytes: int = 2 * 1024 * 1024
    fingerprints_per_claim: int = 100
    sightings_per_request: int = 1000
    reports_per_request: int = 1000
    sighting_line_max_bytes: int = 64 * 1024
    """Of a stream of sightings, which has no other limit. So long a sighting fits a record of its own."""
    idempotency_kept: timedelta = 7 * DAY
    unconfirmed_erased_after: timedelta = 14 * DAY
    withdrawal_undo: timedelta = DAY
    draft_cases_kept: timedelta = 7 * DAY
    """Since somebody last wrote in a case of which nothing has been declared."""
    ended_cases_kept: timedelta = 730 * DAY
    """A keyed digest of the reference of a case that has ended, so that a caller who asks can be told."""
    paused_asked_after: timedelta = 7 * DAY
    """After which the caller of a paused case is asked how it shall go on."""
    erasure_searched_for: timedelta = HOUR
    """How long matchers have to say where withdrawn content was seen that never was matched: so long its fingerprints stay on the log under
    another id."""
    demands_not_before_max: timedelta = 72 * HOUR

    # Matcher
    history_kept: timedelta = 180 * DAY
    snapshot_every: timedelta = 15 * MINUTE
    """Of register and histories, to files. An erasure leaves them within this and half an hour more."""
    snapshot_sightings: int = 100_000
    """Of a partition, after which its history is written sooner: they are read again when the process dies."""
    derived_orientations_of: tuple[str, ...] = ()
    """Sources of sightings (`"*"`: all) whose PDQ values are also looked up as they would roughly be of the picture turned or
    mirrored, where they do not send those values themselves. Up to eight queries for one, hence of none by default."""

    def scaled(self, wait: timedelta) -> timedelta:
        """The wait to keep: `wait` x `clock_scale`."""
        return wait * self.clock_scale
