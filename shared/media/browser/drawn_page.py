"""A browser's look as the judgement of answers reads it: pure."""

from __future__ import annotations

from shared.media.answers import obstacles
from shared.media.answers.missing import AnswerShape, answer_shape
from shared.media.answers.obstacles import MISSING, Obstacle
from shared.media.browser.look import BrowserLook
from shared.media.html.contents import MAX_TEXT_CHARACTERS, PageSigns


def obstacle_of_drawn(url: str, look: BrowserLook) -> Obstacle | None:
    """Why nothing follows from what was not drawn; None: nothing stood in the way. The page's scripts have run: what is read counts."""
    status = look.status or 0
    return (
        obstacles.of_status(status, size_bytes=1)
        or obstacles.of_redirect(url, look.final_url or url)
        or obstacles.of_page(_signs(look), missing=status in MISSING)
    )


def shape_of_drawn(url: str, look: BrowserLook) -> AnswerShape:
    """What was drawn, to be compared with what another address gets."""
    signs = _signs(look)
    return answer_shape(
        asked_url=url,
        final_url=look.final_url or url,
        status=look.status or 0,
        kind="page",
        title=signs.title,
        text=signs.text,
        text_characters=signs.text_characters,
    )


def drawn_says_missing(look: BrowserLook) -> bool:
    """Whether the page, as drawn, says in words that there is nothing."""
    return obstacles.says_missing(_signs(look))


def _signs(look: BrowserLook) -> PageSigns:
    words = look.text.split()
    return PageSigns(
        title=look.title,
        text=" ".join(words)[:MAX_TEXT_CHARACTERS],
        text_characters=sum(map(len, words)),
        password_inputs=int(look.password_field),
    )
