"""The states, kinds and reasons of a takedown and its demands, and which state may follow which: `decide` refuses any other
step, so the picture in `docs/takedown-states.md` is the code's own.

python -m services.notifier.domain.states > docs/takedown-states.md
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, TypeVar

S = TypeVar("S", bound=StrEnum)

TaskScope = Literal["takedown", "content", "key"]
"""What a task is about: its takedown, the takedown's content, or the API key whose word the takedown rests on."""


class TakedownState(StrEnum):
    """The states of a takedown."""

    DISCOVERED = "discovered"  # Matched; our own check has not seen it yet.
    HELD = "held"  # A person has to say whether it goes on.
    OPEN = "open"  # Seen by our own check; demands are made.
    VERIFYING = "verifying"  # Seen gone once; a second look decides.
    REMOVED = "removed"  # Confirmed by our own checks; watched from now on.
    REAPPEARED = "reappeared"  # Back after a confirmed removal; a new round of demands.
    UNREMOVED = "unremoved"  # Everybody on the ladder was asked; still checked.
    REJECTED = "rejected"  # A person says that the match is wrong.
    SUSPENDED = "suspended"  # Nothing is fetched, checked or sent until it is resumed.
    WITHDRAWN = "withdrawn"  # The content is no longer pursued; its target is erased.
    DISMISSED = "dismissed"  # A person ended it for another reason.


class DemandState(StrEnum):
    """The states of a demand."""

    DUE = "due"
    DELIVERED = "delivered"
    UNDELIVERABLE = "undeliverable"
    ACKNOWLEDGED = "acknowledged"
    REPORTED_REMOVED = "reported_removed"
    DISPUTED = "disputed"
    REFUSED = "refused"
    EXPIRED = "expired"
    RETRACTED = "retracted"
    CLOSED = "closed"


class Rung(StrEnum):
    """The recipients, in the order they are asked. The first two are used today."""

    SITE_OPERATOR = "site_operator"
    HOSTING_PROVIDER = "hosting_provider"
    CDN = "cdn"
    REGISTRAR = "registrar"
    SEARCH_ENGINE = "search_engine"
    REGULATOR = "regulator"


class Outcome(StrEnum):
    """What a check saw."""

    PRESENT = "present"
    GONE = "gone"
    MISMATCH = "mismatch"
    BLOCKED = "blocked"
    INCONCLUSIVE = "inconclusive"


class MessageKind(StrEnum):
    """What a message tells its recipient."""

    ISSUED = "demand.issued"
    REMINDED = "demand.reminded"
    STILL_PRESENT = "demand.still_present"
    REAPPEARED = "demand.reappeared"
    RETRACTED = "demand.retracted"
    CLOSED = "demand.closed"
    HOST_TEST = "host.test"


class TaskKind(StrEnum):
    """What a person is needed for."""

    FIRST_CHECK = "first_check"
    LOW_ASSURANCE = "low_assurance"
    UNKNOWN_HOST = "unknown_host"
    UNKNOWN_POSTURE = "unknown_posture"
    DISPUTE = "dispute"
    POSSIBLE_MINOR = "possible_minor"
    FLOOD = "flood"
    DEMAND_LIMIT = "demand_limit"
    """So many demands for this content went to one host within an hour that a person looks before more do: one task for all."""
    KEY_LIMIT = "key_limit"
    """So many first demands rested on the word of one API key within an hour that a person looks before more do: one task for all."""
    UNDELIVERABLE = "undeliverable"
    LADDER_EXHAUSTED = "ladder_exhausted"
    SUGGESTED_RECIPIENT = "suggested_recipient"
    SILENT = "silent"
    """Our looks have said nothing for `silent_patience`."""
    PROBABLY_PRESENT = "probably_present"
    """A look found what is nearly the content: too far for a machine to say that it is, too near to say that it is not."""
    CHECK_FAILS = "check_fails"
    """Our checks failed again and again, in a way nobody foresaw."""
    MESSAGE_FAILS = "message_fails"
    """The same of attempts at a message."""
    SEEN_BY_PERSON = "seen_by_person"
    """A person sees it where our looks did not: another's release lets a demand rest on it. No look of ours closes it."""
    REJECTION = "rejection"
    """One person rejected a match after hosts were asked: they are notified of the error, unless somebody sees that it is none."""
    TELLING_FAILS = "telling_fails"
    """A change of its content, its claims or a person's decision cannot be applied to it, for such a reason."""


class HoldReason(StrEnum):
    """Why a takedown is `held`."""

    FIRST_CHECK = "first_check"
    LOW_ASSURANCE = "low_assurance"
    FLOOD = "flood"
    DISPUTE = "dispute"
    ASSERTED = "asserted"
    REJECTED_BEFORE = "rejected_before"
    PROBABLY_PRESENT = "probably_present"
    FETCHING_STOPPED = "fetching_stopped"
    DEMAND_LIMIT = "demand_limit"
    KEY_LIMIT = "key_limit"


class Refusal(StrEnum):
    """Why a message was not attempted. `outbound off` and a hold per host are none: the row just stays due."""

    SUSPENDED = "suspended"
    ENDED = "ended"
    """The takedown or the demand no longer wants this message."""
    TERMS_UNKNOWN = "terms_unknown"
    """No confirmed claim is known: nobody knows whom not to contact."""
    DO_NOT_CONTACT = "do_not_contact"
    HOSTILE = "hostile"
    UNKNOWN_POSTURE = "unknown_posture"
    UNKNOWN_RECIPIENT = "unknown_recipient"
    NO_CHANNEL = "no_channel"
    NOT_BEFORE = "not_before"
    DISPUTED = "disputed"
    FETCHING_STOPPED = "fetching_stopped"
    """Nobody was asked yet, and nothing of the content may be looked at."""
    STALE_OBSERVATION = "stale_observation"


class RetractionReason(StrEnum):
    """Which words a `demand.retracted` uses."""

    NO_FURTHER_ACTION = (
        "no_further_action"  # The subject asked us to stop: nothing is said about consent or lawfulness.
    )
    SENT_IN_ERROR = "sent_in_error"  # Please restore.


T = TakedownState
D = DemandState

TAKEDOWN: Mapping[T, Mapping[T, str]] = {
    T.DISCOVERED: {
        T.HELD: "a person is needed first (assurance, mismatch, nearly the content, 24 h without a look, flood, very many demands,"
        " fetching stopped)",
        T.OPEN: "our check saw it",
        T.VERIFYING: "our check did not find it, once",
        T.REJECTED: "a person, or a rejection of the same picture",
        T.SUSPENDED: "suspension",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.HELD: {
        T.DISCOVERED: "released, or to be looked at again",
        T.OPEN: "our check matched the register",
        T.REJECTED: "a person",
        T.SUSPENDED: "suspension",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.OPEN: {
        T.HELD: "the flood guard, or fetching stopped, before any demand",
        T.VERIFYING: "our check saw it gone or replaced, once",
        T.REMOVED: "the host's name does not exist for 14 days",
        T.UNREMOVED: "the ladder is exhausted",
        T.REJECTED: "a person",
        T.SUSPENDED: "suspension",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.VERIFYING: {
        T.HELD: "at the first look other media, what is nearly the content, or fetching stopped",
        T.OPEN: "our check sees it again",
        T.REAPPEARED: "our check sees it again",
        T.UNREMOVED: "our check sees it again",
        T.REMOVED: "gone again, an hour or more later",
        T.REJECTED: "a person",
        T.SUSPENDED: "suspension",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.REMOVED: {
        T.REAPPEARED: "our check sees it again: a new round",
        T.OPEN: "our check sees it for the first time (it was not_found)",
        T.HELD: "seen, but a person is needed first",
        T.REJECTED: "a person",
        T.SUSPENDED: "suspension",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.REAPPEARED: {
        T.VERIFYING: "our check saw it gone or replaced, once",
        T.REMOVED: "the host's name does not exist for 14 days",
        T.UNREMOVED: "the ladder is exhausted",
        T.REJECTED: "a person",
        T.SUSPENDED: "suspension",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.UNREMOVED: {
        T.OPEN: "somebody more can be asked",
        T.VERIFYING: "our check saw it gone or replaced, once",
        T.REMOVED: "the host's name does not exist for 14 days",
        T.REJECTED: "a person",
        T.SUSPENDED: "suspension",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.REJECTED: {
        T.DISCOVERED: "the rejection is undone: looked at again, in a new round",
        T.HELD: "a match of another picture at the same target",
        T.WITHDRAWN: "withdrawal",
    },
    T.SUSPENDED: {
        **dict.fromkeys((T.DISCOVERED, T.HELD, T.OPEN, T.VERIFYING, T.REMOVED, T.REAPPEARED, T.UNREMOVED), "resumed"),
        T.REJECTED: "a person",
        T.WITHDRAWN: "withdrawal",
        T.DISMISSED: "a person",
    },
    T.DISMISSED: {
        T.DISCOVERED: "a person asks for another look",
        T.WITHDRAWN: "withdrawal",
    },
    T.WITHDRAWN: {},
}

_LIVE: Mapping[D, str] = {
    D.ACKNOWLEDGED: "the host acknowledges",
    D.REPORTED_REMOVED: "the host says removed",
    D.DISPUTED: "the host disputes, or asks for more",
    D.REFUSED: "the host declines",
    D.UNDELIVERABLE: "410, disabled, bounced, 6 h without delivery, or no longer to be contacted",
    D.RETRACTED: "withdrawn, rejected or dismissed",
    D.CLOSED: "removal confirmed",
}


def _from(*without: D, **more: str) -> dict[D, str]:
    """The common steps of a demand under way, without these, with those."""
    common = {to: why for to, why in _LIVE.items() if to not in without}
    return common | {D(key): why for key, why in more.items()}


DEMAND: Mapping[D, Mapping[D, str]] = {
    D.DUE: _from(D.DUE, delivered="first accepted delivery"),
    D.DELIVERED: _from(D.DELIVERED, expired="the deadline passed"),
    D.ACKNOWLEDGED: _from(D.ACKNOWLEDGED, expired="the deadline passed"),
    D.REPORTED_REMOVED: _from(
        D.REPORTED_REMOVED,
        D.ACKNOWLEDGED,
        expired="the deadline passed",
        delivered="our check still sees it (still_present)",
    ),
    D.DISPUTED: _from(D.DISPUTED, D.ACKNOWLEDGED, expired="the deadline passed", delivered="a person settled it"),
    D.EXPIRED: _from(D.EXPIRED, D.ACKNOWLEDGED),
    D.REFUSED: {
        D.REPORTED_REMOVED: "the host says removed after all",
        D.RETRACTED: "sent in error",
        D.CLOSED: "removal confirmed",
    },
    D.UNDELIVERABLE: {
        D.DELIVERED: "an attempt under way was accepted after all",
        D.ACKNOWLEDGED: "the host answers after all",
        D.REPORTED_REMOVED: "the host says removed after all",
        D.DISPUTED: "the host answers after all",
        D.REFUSED: "the host answers after all",
        D.RETRACTED: "sent in error",
        D.CLOSED: "removal confirmed",
    },
    D.CLOSED: {D.RETRACTED: "sent in error"},
    D.RETRACTED: {},
}


def document() -> str:
    """The Markdown page with both pictures."""
    return "\n".join(
        [
            "# States of a takedown and of a demand",
            "",
            "Drawn from the code: `python -m services.notifier.domain.states > docs/takedown-states.md`; a test compares the two.",
            "No other step is possible: the code that decides refuses it. Every state but `withdrawn` ends in `withdrawn` when the",
            "content is withdrawn. Nothing a recipient does leads to `removed`: only our own checks do.",
            "",
            "## Takedown",
            "",
            *_mermaid(TAKEDOWN, start=T.DISCOVERED, quiet=(T.SUSPENDED, T.WITHDRAWN, T.REJECTED, T.DISMISSED)),
            "",
            "Left out of the picture for clearness, from the same table:",
            "",
            *_list(TAKEDOWN, (T.SUSPENDED, T.WITHDRAWN, T.REJECTED, T.DISMISSED)),
            "",
            "## Demand",
            "",
            *_mermaid(DEMAND, start=D.DUE, quiet=(D.RETRACTED, D.CLOSED)),
            "",
            "Left out of the picture for clearness, from the same table:",
            "",
            *_list(DEMAND, (D.RETRACTED, D.CLOSED)),
            "",
        ]
    )


def _mermaid(table: Mapping[S, Mapping[S, str]], *, start: S, quiet: tuple[S, ...]) -> list[str]:
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    for state, following in table.items():
        if state in quiet:
            continue
        lines += [f"    {state} --> {to}: {why}" for to, why in following.items() if to not in quiet]
    return [*lines, "```"]


def _list(table: Mapping[S, Mapping[S, str]], quiet: tuple[S, ...]) -> list[str]:
    lines = ["| from | to | when |", "|---|---|---|"]
    for state, following in table.items():
        lines += [f"| {state} | {to} | {why} |" for to, why in following.items() if state in quiet or to in quiet]
    return lines


if __name__ == "__main__":
    sys.stdout.write(document())
