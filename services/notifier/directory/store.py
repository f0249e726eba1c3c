"""The directory: which organisation can remove what is at a host, how to reach it, and what it is to us. Imported from CSV.

A file is taken whole or not at all; importing it again changes nothing. An organisation that is no longer in the file stays:
demands of it may be open. Webhook secrets are sealed with the key ring before they reach a table.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.notifier.directory.csv_import import RefusedAddress, nowhere_refused, parse_csv
from services.notifier.domain.ladder import Organisation, Posture
from services.notifier.regimes import REGIMES
from services.notifier.store.takedowns import DIRECTORY_WAKEUP
from shared.access.keyring import KeyRing, OtherRootKey
from shared.db.pool import Tx
from shared.db.wakeups import notify

Channel = Literal["webhook", "email"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """An organisation of the directory, as operations staff see it: no secret."""

    organisation: str
    name: str
    domains: tuple[str, ...]
    rung: str
    webhook_url: str | None
    webhook_secrets: int
    """How many are active."""
    email: str | None
    next_rung: str | None
    posture: str
    bound_by: tuple[str, ...]
    country: str | None
    webhook_gone_at: datetime | None
    updated_at: datetime

    def channel(self, *, mail: bool) -> Channel | None:
        """How it is reached: `webhook`, else `email` where mail can be sent; None: not at all."""
        if self.webhook_url is not None and self.webhook_gone_at is None:
            return "webhook"
        return "email" if self.email is not None and mail else None

    def organisation_view(self, *, mail: bool) -> Organisation:
        """The organisation as the pure code sees it."""
        return Organisation(
            key=self.organisation,
            name=self.name,
            domains=self.domains,
            channel=self.channel(mail=mail),
            posture=Posture(self.posture),
            # Imported before a regime knew whom it can bind: what cannot bind it is not cited to it.
            bound_by=tuple(one for one in self.bound_by if one in REGIMES and REGIMES[one].binds_on(self.rung)),
            next_rung=self.next_rung,
            country=self.country,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """How many organisations an import added, changed or left as they were."""

    added: int
    changed: int
    unchanged: int


# One organisation; `xmax = 0` tells an insert from an update. Unchanged rows keep their time and stay untouched by WHERE.
_UPSERT = """
INSERT INTO notifier.hosts AS h
    (organisation, name, rung, webhook_url, webhook_secrets, secrets_digest, email, next_rung, posture, bound_by,
     country)
VALUES (%(organisation)s, %(name)s, %(rung)s, %(webhook_url)s, %(sealed)s, %(digest)s, %(email)s, %(next_rung)s, %(posture)s,
        %(bound_by)s, %(country)s)
ON CONFLICT (organisation) DO UPDATE SET
    name = excluded.name, rung = excluded.rung, webhook_url = excluded.webhook_url, webhook_secrets = excluded.webhook_secrets,
    secrets_digest = excluded.secrets_digest, email = excluded.email, next_rung = excluded.next_rung,
    posture = excluded.posture, bound_by = excluded.bound_by, country = excluded.country, updated_at = now(),
    webhook_gone_at = CASE WHEN h.webhook_url IS DISTINCT FROM excluded.webhook_url THEN NULL ELSE h.webhook_gone_at END
WHERE (h.name, h.rung, h.webhook_url, h.secrets_digest, h.email, h.next_rung, h.posture, h.bound_by, h.country)
    IS DISTINCT FROM (excluded.name, excluded.rung, excluded.webhook_url, excluded.secrets_digest, excluded.email, excluded.next_rung,
                      excluded.posture, excluded.bound_by, excluded.country)
RETURNING xmax = 0 AS added
"""

_DOMAINS_GONE = "DELETE FROM notifier.host_domains WHERE organisation = %s AND NOT domain = ANY(%s)"
_DOMAINS_PUT = """
INSERT INTO notifier.host_domains (domain, organisation) SELECT unnest(%s::text[]), %s
ON CONFLICT (domain) DO UPDATE SET organisation = excluded.organisation
WHERE host_domains.organisation IS DISTINCT FROM excluded.organisation
RETURNING domain
"""

_LIST = """
SELECT h.organisation, h.name, h.rung, h.webhook_url, coalesce(cardinality(h.webhook_secrets), 0) AS webhook_secrets, h.email,
       h.next_rung, h.posture, h.bound_by, h.country, h.webhook_gone_at, h.updated_at,
       coalesce(array_agg(d.domain ORDER BY d.domain) FILTER (WHERE d.domain IS NOT NULL), '{}') AS domains
FROM notifier.hosts h LEFT JOIN notifier.host_domains d USING (organisation)
WHERE %(organisation)s::text IS NULL OR h.organisation = %(organisation)s
GROUP BY h.organisation ORDER BY h.organisation
"""

# The organisations that list some domains or have some keys, with their next rungs. The depth ends a circle that two imports
# may have made.
_ROUTES = """
WITH RECURSIVE first AS (
    SELECT organisation FROM notifier.host_domains WHERE domain = ANY(%s)
    UNION SELECT unnest(%s::text[])
), ladder AS (
    SELECT organisation, 1 AS depth FROM first WHERE organisation IS NOT NULL
    UNION
    SELECT h.next_rung, l.depth + 1 FROM ladder l JOIN notifier.hosts h USING (organisation)
    WHERE h.next_rung IS NOT NULL AND l.depth < 8
)
SELECT h.organisation, h.name, h.rung, h.webhook_url, coalesce(cardinality(h.webhook_secrets), 0) AS webhook_secrets,
       h.email, h.next_rung, h.posture, h.bound_by, h.country, h.webhook_gone_at, h.updated_at,
       (SELECT coalesce(array_agg(domain ORDER BY domain), '{}') FROM notifier.host_domains d
        WHERE d.organisation = h.organisation) AS domains
FROM notifier.hosts h WHERE h.organisation IN (SELECT organisation FROM ladder)
"""

_ENDPOINT = """
SELECT webhook_url, webhook_secrets, email FROM notifier.hosts WHERE organisation = %s
"""

_SECRETS = "SELECT organisation, webhook_secrets FROM notifier.hosts WHERE cardinality(webhook_secrets) > 0"


async def import_csv(tx: Tx, keys: KeyRing, text: str, *, refused: RefusedAddress = nowhere_refused) -> Imported:
    """Bring the directory to what the file says, for the organisations it names. `refused`: of webhooks. Raises BadDirectory."""
    known = await _organisations(tx)
    rows = await asyncio.to_thread(
        parse_csv, text, known=known, refused=refused
    )  # of two megabytes it takes half a second
    added = changed = 0
    for row in rows:
        sealed = [keys.seal(secret, purpose=row.organisation) for secret in row.webhook_secrets]
        cursor = await tx.execute(
            _UPSERT,
            {
                "organisation": row.organisation,
                "name": row.name,
                "rung": row.rung,
                "webhook_url": row.webhook_url,
                "sealed": sealed,
                "digest": _secrets_digest(keys, row.webhook_secrets),
                "email": row.email,
                "next_rung": row.next_rung,
                "posture": row.posture,
                "bound_by": list(row.bound_by),
                "country": row.country,
            },
        )
        upserted = await cursor.fetchone()
        gone = await tx.execute(_DOMAINS_GONE, (row.organisation, list(row.domains)))
        put = await tx.execute(_DOMAINS_PUT, (list(row.domains), row.organisation))
        if upserted is not None and upserted["added"]:
            added += 1
        elif upserted is not None or gone.rowcount or put.rowcount:
            changed += 1
    if added or changed:
        await _changed(tx)
    return Imported(added=added, changed=changed, unchanged=len(rows) - added - changed)


async def list_hosts(tx: Tx, *, organisation: str | None = None) -> tuple[Host, ...]:
    """The directory (or one organisation of it), by key."""
    cursor = await tx.execute(_LIST, {"organisation": organisation})
    return tuple(_host(row) for row in await cursor.fetchall())


async def routes_for(tx: Tx, *, hosts: Iterable[str], organisations: Iterable[str]) -> tuple[Host, ...]:
    """What the ladders of these hosts and of these organisations can lead to, each organisation once, in no order.

    It may hold more than that: an organisation that lists a shorter suffix of a host.
    """
    domains = [suffix for host in hosts for suffix in suffixes(host)]
    cursor = await tx.execute(_ROUTES, (domains, list(organisations)))
    return tuple(_host(row) for row in await cursor.fetchall())


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class WebhookEndpoint:
    """How to reach an organisation, with its secrets in the clear: for the moment of one attempt."""

    webhook_url: str | None
    secrets: tuple[str, ...]
    email: str | None


async def endpoint_of(tx: Tx, keys: KeyRing, organisation: str) -> WebhookEndpoint | None:
    """How to reach an organisation. Raises OtherRootKey."""
    row = await (await tx.execute(_ENDPOINT, (organisation,))).fetchone()
    if row is None:
        return None
    return WebhookEndpoint(
        webhook_url=row["webhook_url"],
        secrets=tuple(keys.unseal(bytes(sealed), purpose=organisation) for sealed in row["webhook_secrets"]),
        email=row["email"],
    )


async def sealed_otherwise(tx: Tx, keys: KeyRing) -> int:
    """How many organisations cannot be written to: their secrets were sealed with another root key."""
    count = 0
    for row in await (await tx.execute(_SECRETS)).fetchall():
        try:
            for sealed in row["webhook_secrets"]:
                keys.unseal(bytes(sealed), purpose=row["organisation"])
        except OtherRootKey:
            count += 1
    return count


async def mark_endpoint_gone(tx: Tx, organisation: str, webhook_url: str) -> None:
    """Record that the endpoint answered 410: no demand goes there until an import gives another or a test is accepted."""
    await tx.execute(
        "UPDATE notifier.hosts SET webhook_gone_at = coalesce(webhook_gone_at, now())"
        " WHERE organisation = %s AND webhook_url = %s",
        (organisation, webhook_url),
    )


async def mark_endpoint_works(tx: Tx, organisation: str) -> None:
    """Record that a test was accepted at this endpoint."""
    cursor = await tx.execute(
        "UPDATE notifier.hosts SET webhook_gone_at = NULL WHERE organisation = %s AND webhook_gone_at IS NOT NULL",
        (organisation,),
    )
    if cursor.rowcount:
        await _changed(tx)


# `begun`: every transaction that may have read the directory as it was, and is not committed yet, has a lower number (a unit of
# work locks a row before it reads the directory).
CHANGED = """
SELECT changes, pg_snapshot_xmax(pg_current_snapshot())::text AS begun FROM notifier.directory WHERE told < changes
"""


async def changes_applied(tx: Tx, changes: int) -> None:
    """Record that every waiting takedown has been decided on again since this many changes of the directory."""
    await tx.execute("UPDATE notifier.directory SET told = greatest(told, %s)", (changes,))


async def _changed(tx: Tx) -> None:
    """Have the takedowns that wait for the directory decided on again. Call it last in its transaction:
    the row stays locked until the commit."""
    await tx.execute("UPDATE notifier.directory SET changes = changes + 1")
    await notify(tx, DIRECTORY_WAKEUP)


def suffixes(host: str) -> tuple[str, ...]:
    """A host and its parent domains, longest first: what a directory entry or a hold may name. An address has no parents."""
    host = host.lower().rstrip(".")
    if ":" in host or host.replace(".", "").isdigit():
        return (host,)
    labels = host.split(".")
    return tuple(".".join(labels[index:]) for index in range(len(labels)))


def _secrets_digest(keys: KeyRing, secrets: Sequence[str]) -> bytes:
    """A keyed digest by which secrets can be compared (sealing is randomised), and which reveals nothing else."""
    return hmac.new(keys.host_secrets, b"secrets-digest\0" + "\0".join(secrets).encode(), hashlib.sha256).digest()


async def _organisations(tx: Tx) -> frozenset[str]:
    cursor = await tx.execute("SELECT organisation FROM notifier.hosts")
    return frozenset(row["organisation"] for row in await cursor.fetchall())


def _host(row: Mapping[str, Any]) -> Host:
    return Host(**{**row, "domains": tuple(row["domains"]), "bound_by": tuple(row["bound_by"])})
