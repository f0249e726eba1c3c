"""What stands in the way of a look: applies `shared/media/answers` to its answer."""

from __future__ import annotations

from shared.media.answers import obstacles
from shared.media.answers.expiry import has_expired
from shared.media.answers.missing import AnswerShape, answer_shape
from shared.media.answers.obstacles import MISSING, Obstacle
from shared.media.fingerprinter import MediaFingerprints
from shared.media.looks.url_look import PageMedia, UndecodedBytes, UrlLook

_NO_CONTENT = 204


def obstacle_of(look: UrlLook) -> Obstacle | None:
    """Why nothing follows from what this look did not see; None: nothing stood in its way, or no answer came at all."""
    answer = look.answer
    if answer is None:
        return None
    missing = answer.status in MISSING
    if not answer.successful and has_expired(look.url, answer.at):
        return Obstacle.URL_EXPIRED
    found = (
        obstacles.of_headers(answer.headers)
        or obstacles.of_status(answer.status, answer.size_bytes)
        or obstacles.of_redirect(look.url, answer.final_url)
    )
    if found is not None:
        return found
    match look.saw:
        case PageMedia(signs=signs, refreshed=refreshed):
            after = None if refreshed is None else obstacle_of(refreshed)
            return after or obstacles.of_page(signs, missing=missing)
        case UndecodedBytes(text=text, data=data) if text:
            return obstacles.of_text(text, data=data, missing=missing)
    empty = answer.size_bytes == 0 and answer.successful and answer.status != _NO_CONTENT
    return Obstacle.EMPTY if empty else None


def runs_scripts(look: UrlLook) -> bool:
    """Whether what the answer shows may be made by scripts, the page's or a frame's."""
    if not isinstance(look.saw, PageMedia):
        return False
    within = [*look.saw.looks, *([look.saw.refreshed] if look.saw.refreshed is not None else [])]
    return look.saw.signs.scripts > 0 or any(runs_scripts(one) for one in within)


def shape_of(look: UrlLook) -> AnswerShape | None:
    """The answer's shape, to be compared with another's; None: no answer came."""
    answer = look.answer
    if answer is None:
        return None
    kind, title, text, characters, digest = "empty", "", "", 0, ""
    match look.saw:
        case PageMedia(signs=signs):
            kind, title, text, characters = "page", signs.title, signs.text, signs.text_characters
        case UndecodedBytes(text=text_of) if text_of:
            kind, text, characters = "text", text_of, len(text_of)
        case MediaFingerprints(sha256=sha256):
            kind, digest = "media", sha256.hex()
        case UndecodedBytes(exact=exact) if exact:
            kind, digest = "bytes", " ".join(one.hex for one in exact)
    return answer_shape(
        asked_url=look.url,
        final_url=answer.final_url,
        status=answer.status,
        kind=kind,
        title=title,
        text=text,
        text_characters=characters,
        digest=digest,
    )
