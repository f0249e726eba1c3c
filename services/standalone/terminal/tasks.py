"""What a task is about, as operations staff read it."""

from __future__ import annotations

from collections.abc import Mapping

from services.standalone.terminal.output import in_words

WAITING: Mapping[str, str] = {
    "first_check": "our check could not confirm the match",
    "low_assurance": "the match is not certain enough to act on",
    "unknown_host": "the host is not in the directory",
    "unknown_posture": "nobody has said yet whether this host may be asked",
    "dispute": "a host disputes a demand",
    "possible_minor": "a host says that the person may be under 18",
    "flood": "unusually many hosts matched at once",
    "demand_limit": "unusually many demands went to one host within an hour",
    "key_limit": "unusually many demands rest on what one API key reported within an hour",
    "undeliverable": "a message could not be delivered",
    "ladder_exhausted": "everybody was asked, and it is still there",
    "check_fails": "our checks fail for a reason that the operator has to find",
    "message_fails": "a message cannot be prepared or recorded, for a reason that the operator has to find",
    "seen_by_person": "a person has seen it there; another has to say that this counts",
    "rejection": "one person rejected it; hosts are about to hear that it was an error",
    "telling_fails": "a change cannot be applied to it, for a reason that the operator has to find",
    "suggested_recipient": "a host names somebody else to ask",
    "silent": "our checks have got no usable answer for days",
    "probably_present": "a check found something very similar, but not surely the same",
}
"""By kind of task."""


def waiting(kind: str) -> str:
    """Why this kind of task waits for a person."""
    return WAITING.get(kind, in_words(kind))
