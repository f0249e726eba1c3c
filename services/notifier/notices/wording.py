"""The words of a notice. Plain text, no markup; every URL that came from outside is written so that it is no link."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote

from services.notifier.domain.model import MessageKind
from shared.urls import defanged

WIDTH = 76
_SCHEME = re.compile(r"http(?=s?:)", re.IGNORECASE)
_EDGES = "".join(map(chr, range(0x21)))
_LINE_ENDS = str.maketrans("", "", "\t\n\r")
"""What the URL standard takes off both ends of a URL, and out of it wherever it is (WHATWG URL, 4.4); all else that is
unprintable it encodes."""

NO_FURTHER_ACTION = (
    "No further action is asked of you under this demand. This says nothing about consent or about lawfulness."
)
SENT_IN_ERROR = "This demand was sent in error. Please restore what you disabled because of it. We apologise."
CLOSED = "Our own checks confirm that the content is no longer at the address of this demand. It is closed. Thank you."

TWO_CONFIRMED = "Two people have looked at this content and confirmed it."

BEFORE_SUBJECT = {
    MessageKind.ISSUED: "",
    MessageKind.REAPPEARED: "It is back: ",
    MessageKind.REMINDED: "Reminder: ",
    MessageKind.STILL_PRESENT: "Still present: ",
    MessageKind.RETRACTED: "Withdrawn: ",
    MessageKind.CLOSED: "Closed: ",
}
OPENINGS = {
    MessageKind.ISSUED: "We ask you to disable access to the content named below.",
    MessageKind.REAPPEARED: (
        "Content that you had removed is back at the same address. We ask you to disable access to it again."
    ),
    MessageKind.REMINDED: "We have asked you to disable access to the content named below, and it is still there.",
    MessageKind.STILL_PRESENT: (
        "You told us that the content named below is removed. Our own check made after your answer still sees it."
    ),
}


def subject(
    kind: MessageKind,
    name: str,
    reference: str,
    *,
    respond_within_seconds: int | None = None,
    requested_by: datetime | None = None,
) -> str:
    """Who asks, for what, and by when: one line, without a URL."""
    when = ""
    if respond_within_seconds is not None:
        when = f" within {_hours(respond_within_seconds)} of receipt"
    elif requested_by is not None:
        when = f" by {_moment(requested_by)}"
    asked = "asked you" if kind in (MessageKind.RETRACTED, MessageKind.CLOSED) else "asks you"
    return one_line(
        f"{BEFORE_SUBJECT[kind]}{name} {asked} to disable access to an intimate image{when} (reference {reference})"
    )


def one_line(text: str) -> str:
    """The text without anything that could end a line or a header."""
    return " ".join(_printable(text).split())


def forwardable(url: str) -> str:
    """The text that may be passed on as it is to whoever has the content: no capability, no contact, no word of how it was found, and
    nothing about copies. Whoever is told to delete them destroys evidence, whoever is told to keep them has them."""
    return (
        f"The content at {_url(url)} was reported as an intimate image shared without consent. "
        "Please disable access to it."
    )


def sighting(
    *,
    at: datetime,
    seen_by: Literal["check", "person"],
    address: str | None,
    port: int | None,
    status: int | None,
    size_bytes: int | None,
    as_part: bool = False,
) -> str:
    """One paragraph: what was seen, of what is known, and when. Numbers alone: what else a host's headers say is the host's words,
    and a mail is read by people and machines that trust ours."""
    who = "a person" if seen_by == "person" else "our own check"
    parts = [f"Last seen by {who} at {_moment(at)}"]
    if address is not None:
        parts.append(f"at the address {address}" + (f", port {port}" if port is not None else ""))
    if status is not None:
        parts.append(f"status {status}")
    if size_bytes is not None:
        parts.append(f"{size_bytes} bytes")
    if as_part:
        parts.append("as part of a larger picture")
    return _wrapped(", ".join(parts) + ".")


def demand(
    *,
    opening: str,
    name: str,
    contact: str,
    reference: str,
    issued_at: datetime,
    url: str,
    page_url: str | None,
    seen: str | None,
    regime: str | None,
    respond_within_seconds: int | None,
    requested_by: datetime | None,
    preserve_days: int | None,
    statement: str,
    forwardable: str,
    link: str,
) -> str:
    """The whole text of a demand. Each URL is a line of its own: a program has it back by writing http for hxxp."""
    return _joined(
        _wrapped(opening),
        f"It is at this address:\n{_url(url)}",
        None if page_url is None else f"It is shown on this page:\n{_url(page_url)}",
        _wrapped(
            "(hxxp stands for http, so that nobody opens an address by accident. Please do not open it without need.)"
        ),
        seen,
        _wrapped(_by_when(regime, respond_within_seconds, requested_by)),
        None if preserve_days is None else _wrapped(_preserve(preserve_days)),
        _wrapped(
            "Please do not send us copies of the content, and do not say who reported it, as far as your law allows."
        ),
        _wrapped(statement),
        "To answer (acknowledge, report the removal, object), open this page. Opening it changes nothing:\n" + link,
        _wrapped(
            "That address is a key to this demand: please do not pass it on. If you have to pass the demand on, use:"
        )
        + "\n"
        + textwrap.indent(_wrapped(forwardable), "    "),
        _signature(name, contact, reference, issued_at),
    )


def end(*, name: str, contact: str, reference: str, issued_at: datetime, statement: str) -> str:
    """The whole text of the last message of a demand."""
    return _joined(_wrapped(statement), _signature(name, contact, reference, issued_at))


def test(name: str) -> str:
    """The whole text of a test message."""
    return _joined(_wrapped("This is a test of how we reach you. It asks for nothing."), one_line(name))


def _preserve(days: int) -> str:
    return (
        f"Evidence is wanted: please preserve, for {days} days and with restricted access, the content itself and the records of "
        "its upload, of the account and of access to it. We ask this of you alone, not of your customer."
    )


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:g} hours"


def _by_when(regime: str | None, respond_within_seconds: int | None, requested_by: datetime | None) -> str:
    if regime is not None and respond_within_seconds is not None:
        hours = _hours(respond_within_seconds)
        return f"This demand is made under {regime}. The time to act is {hours} from your receipt of it."
    if requested_by is not None:
        return f"We ask you to act under your own terms of service, by {_moment(requested_by)} if you can."
    return "We ask you to act under your own terms of service."


def _signature(name: str, contact: str, reference: str, issued_at: datetime) -> str:
    return f"Reference: {reference}\nIssued:    {_moment(issued_at)}\nFrom:      {one_line(name)}, {one_line(contact)}"


def _url(url: str) -> str:
    """A URL from outside, as text that is no link, in its query neither, cannot break the line, and is still the same URL."""
    written = "".join(
        quote(one, errors="replace") if _breaks(one) else one for one in url.strip(_EDGES).translate(_LINE_ENDS)
    )
    return _SCHEME.sub("hxxp", defanged(written))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _printable(text: str) -> str:
    """Control and formatting characters (line ends, direction marks) become spaces."""
    return "".join(" " if _breaks(one) else one for one in text)


def _breaks(character: str) -> bool:
    """Whether it is no visible character, or could end a line."""
    return unicodedata.category(character)[0] in "CZ"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _joined(*paragraphs: str | None) -> str:
    return "\n\n".join(one for one in paragraphs if one) + "\n"
