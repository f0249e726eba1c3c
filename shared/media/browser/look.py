"""What a browser's look gives: values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class BrowserOutcome(StrEnum):
    """What became of a look. Whatever it is, the pictures that were drawn before are in it."""

    DRAWN = "drawn"
    """There was an answer, and it was drawn; `unfinished` says what may be missing."""
    OFF = "off"
    """There is no browser, or the settings say `off`."""
    UNAVAILABLE = "unavailable"
    """The browser could not be started."""
    BUSY = "busy"
    """No turn within the time."""
    HOUR_SPENT = "hour_spent"
    """The hour's looks are used up."""
    SITE_SPENT = "site_spent"
    """This site has had its share of the hour's looks."""
    BAD_URL = "bad_url"
    CRASHED = "crashed"
    """The page or the browser ended in the midst of it, or used too much memory."""
    TIMED_OUT = "timed_out"
    ADDRESS_REFUSED = "address_refused"
    NO_SUCH_DOMAIN = "no_such_domain"
    DNS_FAILURE = "dns_failure"
    CONNECT_FAILURE = "connect_failure"
    TLS_FAILURE = "tls_failure"
    CONNECTION_LOST = "connection_lost"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BUDGET_SPENT = "budget_spent"
    DOWNLOAD = "download"
    """The answer is a file to be saved: a browser shows nothing."""
    NO_CONTENT = "no_content"
    """204 or 205, or an answer that is no HTTP."""


class Unfinished(StrEnum):
    """Why a page was not *fully drawn*: something a person may see was perhaps not seen."""

    LOAD = "load"
    """It had not finished loading within the time."""
    SCROLL = "scroll"
    """Its end was not reached within the limit."""
    OVERLAY = "overlay"
    """Something lies over the page (an age gate, a consent banner). What is below was drawn too."""
    MEDIA_FAILED = "media_failed"
    """A picture or video did not arrive or could not be shown; one that answers 404 or 410 is an answer."""
    FRAME = "frame"
    """A frame could not be read, or answered nothing."""
    PARTS = "parts"
    """A style sheet, a script, or what a script asked for did not arrive, or was refused; 404 and 410 are answers."""
    BUDGET = "budget"
    """Requests, hosts or bytes were used up, or a request was stopped (another method, too many navigations)."""
    PICTURES = "pictures"
    """There are more pictures, or larger ones, than are taken; or one could not be drawn."""
    TIME = "time"
    """The look's time ended before all was taken."""


class PictureKind(StrEnum):
    """How a picture stands in the page."""

    IMAGE = "image"
    """`img`, `picture`, `input type=image`, an SVG's `image`."""
    BACKGROUND = "background"
    """A CSS background, border, list mark, mask or `content`."""
    CANVAS = "canvas"
    SVG = "svg"
    VIDEO = "video"
    EMBEDDED = "embedded"
    """`object`, `embed`."""
    MOSAIC = "mosaic"
    """Elements that adjoin one another and look like one picture."""
    VIEWPORT = "viewport"
    """All that is seen at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnPicture:
    """A picture as it was drawn: PNG bytes, to be decoded in the confined child alone. `video_seconds`: the frame's time."""

    kind: PictureKind
    body: bytes
    width: int
    height: int
    video_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaAnswer:
    """The bytes of a media answer, decoded of its content coding. `part`: of a range alone (206)."""

    url: str
    status: int
    content_type: str
    body: bytes
    part: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One answer of the page itself: redirects first, the page last."""

    url: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserLook:
    """What a person with a browser would see. Pictures are bytes to be hashed (`Fingerprinter`), and never kept.

    `hops`: every answer to the page's own navigation in order, so that `status` and `final_url` are its last one's. `text`: what
    can be read of page and frames, cut at a limit. `missing_media`: URLs of pictures and videos that answered 404 or 410.
    """

    outcome: BrowserOutcome
    detail: str = ""
    """A few words for a person; never a URL."""
    final_url: str = ""
    status: int | None = None
    hops: tuple[Hop, ...] = ()
    title: str = ""
    text: str = ""
    password_field: bool = False
    """A field for a password is shown: a login."""
    unfinished: frozenset[Unfinished] = frozenset()
    drawn: tuple[DrawnPicture, ...] = ()
    answers: tuple[MediaAnswer, ...] = ()
    missing_media: tuple[str, ...] = ()
    requests: int = 0
    bytes_moved: int = 0
    elapsed_seconds: float = 0.0

    @property
    def fully_drawn(self) -> bool:
        """Load ended, scrolled to the end within the limit, no overlay left, no media failed, nothing left out."""
        return self.outcome is BrowserOutcome.DRAWN and not self.unfinished


@dataclass(frozen=True, slots=True, kw_only=True)
class BrowserLimits:
    """What one look may take, and all of them."""

    total_seconds: float = 45.0
    load_seconds: float = 15.0
    quiet_seconds: float = 0.5
    """So long without a request counts as loaded, once `load` was heard; waited for at most `settle_seconds`."""
    settle_seconds: float = 3.0
    max_requests: int = 300
    max_hosts: int = 50
    max_bytes: int = 50_000_000
    max_stops: int = 20
    """Screens that are scrolled through."""
    max_pictures: int = 80
    max_picture_pixels: int = 6_000_000
    """A larger one is drawn smaller."""
    min_side: int = 32
    """CSS pixels: what is smaller shows nobody."""
    max_videos: int = 6
    video_moments: tuple[float, ...] = (0.02, 0.25, 0.5, 0.75, 0.95)
    """Of a video's duration."""
    max_answers: int = 150
    max_answer_bytes: int = 25_000_000
    max_kept_bytes: int = 120_000_000
    """Of pictures and answers together."""
    max_nodes: int = 40_000
    """Of a page whose structure is read; a larger one is seen by the screen alone."""
    max_text_characters: int = 200_000
    max_navigations: int = 10
    memory_bytes: int = 1_600_000_000
    """Of the browser with all its processes; over it, it is killed."""
    start_seconds: float = 60.0
    """The browser's start may take so long; one takes a second or two where the machine is not busy."""
    looks_each_browser: int = 50
    """Then it is started anew."""
    looks_at_once: int = 1
    turn_seconds: float = 120.0
    """How long a look waits for its turn."""
    looks_an_hour: int = 600
    site_share: float | None = None
    """Of the hour's looks that are left, one site may have had so much (`LooksOfTheHour`). None: no share."""
