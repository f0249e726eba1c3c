"""The directory's file: CSV (RFC 4180) with a header, checked whole, every error with its line and column. Pure.

Columns: `organisation` (its key), `domains` (suffixes, separated by spaces), and optionally `name`, `rung`, `webhook_url`,
`webhook_secrets` (one, or two at rotation), `email`, `next_rung` (another organisation's key), `posture`, `bound_by`,
`country` (ISO 3166-1 alpha-2).
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.notifier.directory.webhook_secret import ACTIVE_SECRETS, BadSecret, parse_secret
from services.notifier.domain.ladder import Posture
from services.notifier.domain.model import Rung
from services.notifier.regimes import REGIMES
from shared.countries import COUNTRIES
from shared.errors import Permanent
from shared.urls import BadUrl, WebUrl, canonical, is_public_suffix, parse_url

RUNGS = tuple(Rung)
POSTURES = tuple(Posture)
BINDING = {one.id: one for one in REGIMES.values() if one.binding}
"""What `bound_by` may name."""
REQUIRED_COLUMNS = ("organisation", "domains")
COLUMNS = (
    *REQUIRED_COLUMNS,
    "name",
    "rung",
    "webhook_url",
    "webhook_secrets",
    "email",
    "next_rung",
    "posture",
    "bound_by",
    "country",
)
MAX_ROWS = 100_000
_NO_COLUMN = f"There is no such column. The columns are {', '.join(COLUMNS)}."
_BAD_CSV = "This line is not valid CSV. Check its double quotes."
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_DOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_EMAIL = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
"""RFC 5322, 3.4.1: a dot-atom on both sides; what is quoted or in another script is not taken."""


RefusedAddress = Callable[[WebUrl], str | None]
"""Why nothing is sent to this URL, in a sentence that names no address; None: as far as its text tells, it may be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineError:
    """What is wrong in one line of the file (the header is line 1). `text` never holds a secret."""

    line: int
    column: str
    text: str


class BadDirectory(Permanent):
    """The directory file has errors, and nothing was imported."""

    def __init__(self, errors: Sequence[LineError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"line {error.line}, {error.column}: {error.text}" for error in errors[:10]))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HostRow:
    """One line of the file, checked. `domains` are suffixes: the longest listed one wins."""

    line: int
    organisation: str
    name: str
    domains: tuple[str, ...]
    rung: str
    webhook_url: str | None
    webhook_secrets: tuple[str, ...]
    email: str | None
    next_rung: str | None
    posture: str
    bound_by: tuple[str, ...]
    country: str | None


def nowhere_refused(_: WebUrl) -> None:
    """For `parse_csv`: no address is refused."""


def parse_csv(
    text: str, *, known: frozenset[str] = frozenset(), refused: RefusedAddress = nowhere_refused
) -> tuple[HostRow, ...]:
    """The rows of a directory file (RFC 4180, UTF-8, with a header). `known`: organisations already in the directory. `refused`:
    why a webhook's address may not be dialled.

    Raises BadDirectory with every error found, by line and column.
    """
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    try:
        header = reader.fieldnames or ()
    except csv.Error:
        raise BadDirectory([LineError(line=1, column="(line)", text=_BAD_CSV)]) from None
    errors = [
        LineError(line=1, column=name, text="This column is missing. Add it to the header.")
        for name in REQUIRED_COLUMNS
        if name not in header
    ]
    errors += [LineError(line=1, column=str(name), text=_NO_COLUMN) for name in header if name not in COLUMNS]
    errors += [
        LineError(line=1, column=str(name), text="This column is there twice. Keep one of them.")
        for name, times in Counter(header).items()
        if times > 1
    ]
    if errors:
        raise BadDirectory(errors)
    rows: list[HostRow] = []
    try:
        for record in reader:
            if len(rows) >= MAX_ROWS:
                errors.append(
                    LineError(
                        line=reader.line_num, column="organisation", text=f"The file may have at most {MAX_ROWS} lines."
                    )
                )
                break
            row = _parse_row(reader.line_num, record, errors, refused)
            if row is not None:
                rows.append(row)
    except csv.Error:
        errors.append(LineError(line=reader.line_num, column="(line)", text=_BAD_CSV))
    errors += _contradictions(rows, known)
    if errors:
        raise BadDirectory(sorted(errors, key=lambda error: error.line))
    return tuple(rows)


def render_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """A directory file of these rows, cells by column, as `parse_csv` reads it. Raises ValueError for a column that there is not."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _parse_row(
    line: int, record: Mapping[str | None, Any], errors: list[LineError], refused: RefusedAddress
) -> HostRow | None:
    before = len(errors)

    def bad(column: str, text: str) -> None:
        errors.append(LineError(line=line, column=column, text=text))

    def cell(column: str) -> str:
        return (record.get(column) or "").strip()

    if None in record:
        bad("(line)", "This line has more cells than the header. Put a cell with a comma in double quotes.")
    organisation = cell("organisation").lower()
    if not _KEY.fullmatch(organisation):
        bad(
            "organisation",
            "This must be a key of 1 to 63 characters: a-z, 0-9, dot, hyphen and underscore, such as example-host.",
        )
    domains = _domains(cell("domains"), bad)
    rung = cell("rung") or "site_operator"
    posture = cell("posture") or "unknown"
    bound_by = tuple(cell("bound_by").split())
    country = cell("country").upper() or None
    if rung not in RUNGS:
        bad("rung", f"This must be {_either(RUNGS)}.")
    if posture not in POSTURES:
        bad("posture", f"This must be {_either(POSTURES)}.")
    for name in bound_by:
        regime = BINDING.get(name)
        if regime is None:
            bad("bound_by", f"This must be empty or {_either(tuple(BINDING))}.")
        elif rung in RUNGS and not regime.binds_on(rung):
            bad(
                "bound_by",
                f"{name} binds operators of user-to-user services alone: leave this empty on the rung {rung}.",
            )
    if country is not None and country not in COUNTRIES:
        bad("country", "This must be a country code of two letters (ISO 3166-1), such as GB.")
    webhook_url, secrets = _webhook(cell("webhook_url"), tuple(cell("webhook_secrets").split()), bad, refused)
    email = cell("email") or None
    if email is not None and not _EMAIL.fullmatch(email):
        bad("email", "This is not an e-mail address such as abuse@host.example.")
    if len(errors) > before:
        return None
    return HostRow(
        line=line,
        organisation=organisation,
        name=cell("name") or organisation,
        domains=domains,
        rung=rung,
        webhook_url=webhook_url,
        webhook_secrets=secrets,
        email=email,
        next_rung=cell("next_rung").lower() or None,
        posture=posture,
        bound_by=bound_by,
        country=country,
    )


def _domains(words: str, bad: Callable[[str, str], None]) -> tuple[str, ...]:
    domains = tuple(dict.fromkeys(_domain(word) for word in words.split()))
    for domain in domains:
        if not _DOMAIN.fullmatch(domain):
            bad("domains", "These must be domain names separated by spaces, such as img.example cdn.example.")
        elif is_public_suffix(domain):
            bad("domains", f"Anybody may register under {domain}. Name the domain itself, such as img.example.")
    return domains


def _webhook(
    url: str, secrets: tuple[str, ...], bad: Any, refused: RefusedAddress
) -> tuple[str | None, tuple[str, ...]]:
    if not url:
        if secrets:
            bad("webhook_secrets", "There is a secret but no webhook_url. Add the address, or remove the secret.")
        return None, ()
    try:
        why = refused(parse_url(url))
        if why is not None:
            bad("webhook_url", why)
    except BadUrl as error:
        bad("webhook_url", error.title)
    if not secrets:
        bad("webhook_secrets", "A webhook needs a secret: whsec_ followed by 24 to 64 bytes in base64.")
    if len(secrets) > ACTIVE_SECRETS:
        bad("webhook_secrets", f"There can be at most {ACTIVE_SECRETS} secrets, separated by a space.")
    for secret in secrets:
        try:
            parse_secret(secret)
        except BadSecret as error:
            bad("webhook_secrets", str(error))
    return url, secrets


def _domain(word: str) -> str:
    bare = word.lower().strip(".")
    if bare.isascii():
        return bare
    try:
        return canonical(f"https://{bare}/").host
    except BadUrl:
        return word


def _contradictions(rows: Sequence[HostRow], known: frozenset[str]) -> list[LineError]:
    """Errors between lines: an organisation twice, a domain of two organisations, a next rung that nobody knows, a ladder that is a
    circle."""
    errors: list[LineError] = []
    by_key: dict[str, HostRow] = {}
    of_domain: dict[str, str] = {}
    for row in rows:
        if row.organisation in by_key:
            errors.append(
                LineError(
                    line=row.line,
                    column="organisation",
                    text=f"This organisation is in line {by_key[row.organisation].line} too. Keep one of them.",
                )
            )
        by_key.setdefault(row.organisation, row)
        errors += [
            LineError(line=row.line, column="domains", text=f"{domain} is in another line too. Keep it in one of them.")
            for domain in row.domains
            if of_domain.setdefault(domain, row.organisation) != row.organisation
        ]
    endless = _in_circles(by_key)
    for row in rows:
        if row.next_rung is None:
            continue
        if row.next_rung not in by_key and row.next_rung not in known:
            errors.append(
                LineError(
                    line=row.line,
                    column="next_rung",
                    text="There is no organisation with this key, neither in this file nor in the directory.",
                )
            )
        elif row.next_rung in endless:
            errors.append(
                LineError(
                    line=row.line,
                    column="next_rung",
                    text="The next rungs lead back to this line. The last one of them must have none.",
                )
            )
    return errors


def _either(words: Sequence[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _in_circles(by_key: Mapping[str, HostRow]) -> frozenset[str]:
    """The organisations whose ladder never ends. Each is visited once: a file may be one long ladder."""
    endless: dict[str, bool] = {}
    for start in by_key:
        way: dict[str, None] = {}
        at: str | None = start
        while at is not None and at in by_key and at not in endless and at not in way:
            way[at] = None
            at = by_key[at].next_rung
        endless.update(dict.fromkeys(way, at is not None and (at in way or endless.get(at, False))))
    return frozenset(organisation for organisation, is_endless in endless.items() if is_endless)
