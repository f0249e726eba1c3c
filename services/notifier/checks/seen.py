"""What a check looks for, and what it saw, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from services.notifier.domain.model import Observed, Outcome
from shared.agreement import Comparison
from shared.contracts.content import RegisteredFingerprint
from shared.media.fingerprints import Fingerprint
from shared.media.views.view import ViewName


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a check looks for, read just before it in one transaction.

    `register`: the content's fingerprints. `reference`: of an asserted takedown, once a person released it (`adopted`).
    `rejected`: fingerprint references of this content that a person rejected; media seen by them alone does not agree.
    `harmless`: the PDQ values of the negative list.
    `url_key`: of the address in `url` (`shared.urls.address_key`).
    `seen_before`: our last look saw the content there, and nothing of what is seen now is kept. `may_draw`: a browser may be asked.
    """

    takedown_id: UUID
    target_kind: str
    url: str
    url_key: str
    page_url: str | None
    register: tuple[RegisteredFingerprint, ...]
    reference: tuple[RegisteredFingerprint, ...] = ()
    adopted: bool = False
    rejected: frozenset[str] = frozenset()
    harmless: tuple[bytes, ...] = ()
    seen_before: bool = False
    may_draw: bool = True

    @property
    def entries(self) -> tuple[RegisteredFingerprint, ...]:
        """Everything that the picture seen is compared with."""
        return (*self.register, *self.reference)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Seen:
    """What one URL showed. `fingerprints` are of its media, for an asserted takedown's reference.

    `agreement`: where it is `present`; `near`: what is so near that it is probably there still, where nothing agrees. `view`: how the
    part of the picture was found that agrees, or is near; None: the picture as a whole is. Then `whole_distance` says how far that is,
    and `of_part` has the part's own fingerprints.
    """

    outcome: Outcome
    reason: str | None = None
    agreement: Comparison | None = None
    near: Comparison | None = None
    observed: Observed | None = None
    fingerprints: tuple[Fingerprint, ...] = field(default=())
    view: ViewName | None = None
    whole_distance: int | None = None
    of_part: tuple[Fingerprint, ...] = field(default=())

    @property
    def status(self) -> int | None:
        return None if self.observed is None else self.observed.status

    @property
    def known(self) -> tuple[Fingerprint, ...]:
        """The fingerprints of the media seen, and of the part that counted."""
        return (*self.fingerprints, *self.of_part)

    @property
    def settled(self) -> bool:
        """Whether the content, or nearly the content, was seen: then nothing else about the answer counts against that."""
        return self.outcome is Outcome.PRESENT or self.near is not None

    @property
    def clear(self) -> bool:
        """Whether all was looked at, and nothing of it is the content."""
        return self.outcome in (Outcome.GONE, Outcome.MISMATCH)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Looked:
    """The result of a check. `page` None: none is known, or the media is there and the page would add nothing. `drawn`: what became of each
    look of a browser."""

    media: Seen
    page: Seen | None = None
    drawn: tuple[str, ...] = ()
