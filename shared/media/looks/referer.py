"""The `Referer` that a browser sends (Referrer Policy, "strict-origin-when-cross-origin", the default). Pure."""

from __future__ import annotations

from urllib.parse import urlunsplit

from shared.urls import split_url


def referer_for(url: str, page_url: str) -> str | None:
    """What a browser that shows `page_url` sends with a request for `url`; None: nothing, from https to http."""
    page, asked = split_url(page_url), split_url(url)
    if not page.netloc or (page.scheme, asked.scheme) == ("https", "http"):
        return None
    same = (page.scheme, page.netloc) == (asked.scheme, asked.netloc)
    return urlunsplit(page._replace(fragment="")) if same else origin_of(page_url)


def origin_of(url: str) -> str:
    """The site's own first address."""
    return urlunsplit(split_url(url)._replace(path="/", query="", fragment=""))
