"""The result of a look at a URL, as values. No bytes are in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from shared.media.fingerprinter import MediaFingerprints, Reason, UndecodedMedia
from shared.media.fingerprints import Fingerprint
from shared.media.html.contents import MediaPlace, PageSigns
from shared.outbound.fetch import RedirectRefused
from shared.outbound.guard import AddressRefused, DnsFailure, GuardedEndpoint, PortRefused
from shared.outbound.transport import AnswerTooLarge
from shared.urls import BadUrl, address_key


class NotSeen(StrEnum):
    """Why no answer came from a URL. Beside the first three, the codes of the outbound errors."""

    FORBIDDEN = "forbidden"
    """It must not be fetched; nothing was sent."""
    BAD_URL = "bad_url"
    """Nobody can fetch this URL; nothing was sent."""
    NO_SUCH_DOMAIN = "no_such_domain"
    """The name servers answered that the host's name does not exist."""
    ADDRESS_REFUSED = AddressRefused.code
    PORT_REFUSED = PortRefused.code
    REDIRECT_REFUSED = RedirectRefused.code
    DNS_FAILURE = DnsFailure.code
    CONNECT_FAILURE = "connect_failure"
    TLS_FAILURE = "tls_failure"
    CONNECTION_LOST = "connection_lost"
    MALFORMED_RESPONSE = "malformed_response"
    TOO_LARGE = AnswerTooLarge.code
    TOO_MANY_REDIRECTS = "too_many_redirects"
    TIMED_OUT = "timed_out"
    HOST_BUSY = "host_busy"

    @property
    def nobody_there(self) -> bool:
        """No server was reached at the host's address."""
        return self in (NotSeen.CONNECT_FAILURE, NotSeen.NO_SUCH_DOMAIN)

    @property
    def may_pass(self) -> bool:
        """Another look may see what this one did not."""
        return self not in _LASTING

    @property
    def shown_to_nobody(self) -> bool:
        """A browser on the public internet gets nothing from there either."""
        return self in (NotSeen.BAD_URL, NotSeen.ADDRESS_REFUSED, NotSeen.NO_SUCH_DOMAIN)


_LASTING = frozenset(
    (
        NotSeen.FORBIDDEN,
        NotSeen.BAD_URL,
        NotSeen.ADDRESS_REFUSED,
        NotSeen.PORT_REFUSED,
        NotSeen.REDIRECT_REFUSED,
        NotSeen.TOO_LARGE,
    )
)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class HttpAnswer:
    """The answer to a look, whole at `at`. `address` was dialled for `final_url`; `size_bytes` of the body; `headers` in lower case, those
    that `fetch.KEPT_HEADERS` names."""

    at: datetime
    status: int
    address: GuardedEndpoint
    final_url: str
    content_type: str | None
    size_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def successful(self) -> bool:
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class UndecodedBytes:
    """A body that gave no perceptual fingerprint. `exact`: its exact hashes; none of an empty body.

    `media`: of a kind that a viewer may show and we do not decode. `drawing`: it is an SVG so small and plain that it shows no photograph.
    `text`: its beginning, where it is text; `data`: that is JSON; `page`: a page came where a picture was wanted. `drawn_markup`: it is
    XML that a browser draws by a style sheet or as a page.
    """

    reason: Reason
    exact: tuple[Fingerprint, ...] = field(default=(), repr=False)
    media: UndecodedMedia | None = None
    drawing: bool = False
    text: str = field(default="", repr=False)
    data: bool = False
    page: bool = False
    drawn_markup: bool = False

    @property
    def no_media(self) -> bool:
        """Certainly no picture or video. Else there is something that we could not look at."""
        return self.reason.no_media


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PageMedia:
    """A page, as looks at what it shows, the most telling first; a URL of them that was not fetched is a look too.

    A frame is a look that saw a page; so is the page that replaces this one (`refreshed`). `whole` False: something that the page
    shows or names was not looked at.
    """

    looks: tuple[UrlLook, ...]
    signs: PageSigns = field(default_factory=PageSigns)
    refreshed: UrlLook | None = None
    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class UrlLook:
    """What one look at `url` saw: a picture, other bytes, a page, or why nothing. `answer` None: no answer came, or none that was whole.

    Of a medium on a page: `place` says where the page names it; `inline`: the page holds it itself, and `url` is the page's;
    `poster_of`: it is the still picture of a film (see `ReferencedMedia`).
    """

    url: str
    saw: MediaFingerprints | UndecodedBytes | PageMedia | NotSeen
    answer: HttpAnswer | None = None
    place: MediaPlace | None = None
    inline: bool = False
    poster_of: tuple[str, ...] | None = None

    def media(self) -> Iterator[UrlLook]:
        """The look, or those at the media of its page, its frames' and its successor's."""
        if not isinstance(self.saw, PageMedia):
            yield self
            return
        for one in self.saw.looks:
            yield from one.media()
        if self.saw.refreshed is not None:
            yield from self.saw.refreshed.media()


def url_key_of(url: str) -> str | None:
    """The key of what is fetched: under another signature the same file is fetched anew. None: the URL has no canonical form."""
    try:
        return address_key(url).url_key
    except BadUrl:
        return None
