"""Finding media in an HTML page, under its former address."""

from shared.media.html_media import find_media, is_page

__all__ = ["find_media", "is_page"]
