"""The words of a notice. Plain text, no markup; every URL that came from outside is written so that it is no link."""

from __future__ import annotations

import re
import textwrap
import unicodedata
from datetime import UTC, datetime

from services.notifier.domain.model import MessageKind
from shared.urls import defanged

WIDTH = 76
_SCHEME = re.compile(r"http(?=s?:)", re.IGNORECASE)

NO_FURTHER_ACTION = (
    "No further action is asked of you under this demand. This says nothing about consent or about lawfulness."
)
SENT_IN_ERROR = "This demand was sent in error. Please restore what you disabled because of it. We apologise."
CLOSED = "Our own checks confirm that the content is no longer at the address of this demand. It is closed. Thank you."

SUBJECTS = {
    MessageKind.ISSUED: "Request to disable access to an intimate image shared without consent",
    MessageKind.REAPPEARED: "It is back: request to disable access to an intimate image",
    MessageKind.REMINDED: "Reminder: request to disable access to an intimate image",
    MessageKind.STILL_PRESENT: "Still present: request to disable access to an intimate image",
    MessageKind.RETRACTED: "Withdrawn: a request to disable access",
    MessageKind.CLOSED: "Closed: a request to disable access",
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


def one_line(text: str) -> str:
    """Without anything that could end a line or a header."""
    return " ".join(_printable(text).split())


def forwardable(url: str) -> str:
    """What may be passed on as it is to whoever holds the content: no capability, no contact, no word of how it was found."""
    return (
        f"The content at {_url(url)} was reported to us as an intimate image shared without consent. "
        "Access to it has to be disabled. Please disable it, keep a restricted copy for any lawful request, and do not "
        "publish it again."
    )


def sighting(
    *,
    at: datetime,
    address: str | None,
    port: int | None,
    final_url: str | None,
    status: int | None,
    content_type: str | None,
    size_bytes: int | None,
) -> str:
    """One paragraph: what our check saw, of what is known."""
    parts = [f"Seen by our own check at {_moment(at)}"]
    if address is not None:
        parts.append(f"at the address {address}" + (f", port {port}" if port is not None else ""))
    if status is not None:
        parts.append(f"status {status}")
    if content_type is not None:
        parts.append(f"type {one_line(content_type)[:100]}")
    if size_bytes is not None:
        parts.append(f"{size_bytes} bytes")
    lines = _wrapped(", ".join(parts) + ".")
    if final_url is not None:
        lines += f"\nAfter redirects, if any: {_url(final_url)}"
    return lines


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
    preserve_days: int,
    statement: str,
    forwardable: str,
    link: str,
) -> str:
    """The whole text of a demand."""
    where = [f"Address:  {_url(url)}"]
    if page_url is not None:
        where.append(f"On page:  {_url(page_url)}")
    where.append("(hxxp stands for http, so that nobody opens it by accident. Please do not open it without need.)")
    return _joined(
        _wrapped(opening),
        "\n".join(where),
        seen,
        _wrapped(_by_when(regime, respond_within_seconds, requested_by)),
        _wrapped(
            f"Please also preserve, for {preserve_days} days and with restricted access: the content itself, and the records "
            "of its upload, of the account and of access to it. Please do not send us copies of it, and do not tell the "
            "uploader who asked."
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


def _by_when(regime: str | None, respond_within_seconds: int | None, requested_by: datetime | None) -> str:
    if regime is not None and respond_within_seconds is not None:
        hours = respond_within_seconds / 3600
        return f"This demand is made under {regime}. The time to act is {hours:g} hours from its delivery to you."
    if requested_by is not None:
        return f"We ask you to act under your own terms of service, by {_moment(requested_by)} if you can."
    return "We ask you to act under your own terms of service."


def _signature(name: str, contact: str, reference: str, issued_at: datetime) -> str:
    return f"Reference: {reference}\nIssued:    {_moment(issued_at)}\nFrom:      {one_line(name)}, {one_line(contact)}"


def _url(url: str) -> str:
    """A URL from outside, as text that is no link, in its query neither, and cannot break the line."""
    return _SCHEME.sub("hxxp", defanged("".join(_printable(url).split())))


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _printable(text: str) -> str:
    """Control and formatting characters (line ends, direction marks) become spaces."""
    return "".join(" " if unicodedata.category(one)[0] == "C" or one in "\u2028\u2029" else one for one in text)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def _joined(*paragraphs: str | None) -> str:
    return "\n\n".join(one for one in paragraphs if one) + "\n"
