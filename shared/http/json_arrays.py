"""A long JSON array, read so that everybody else has a turn meanwhile: an element after the other."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from shared.process.event_loop import TURN_SECONDS

MAX_ELEMENTS = 10_000
"""How many a request may have is its route's to say; so many objects are made before it can."""
MAX_ELEMENT_CHARACTERS = 64 * 1024
_SPACE = re.compile(r"[ \t\n\r]*")


class JsonArrayRoute(APIRoute):
    """A route whose body is an array that may be long. Its elements are read as `read_array` reads them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def handler(request: Request) -> Response:
            return await handle(_ArrayRequest(request.scope, request.receive))

        return handler


class _ArrayRequest(Request):
    """A request whose JSON array is read by `read_array`."""

    async def json(self) -> Any:
        if not hasattr(self, "_json"):
            self._json = await read_array(await self.body())
        return self._json


async def read_array(body: bytes) -> Any:
    """The array's elements. What is no array is read whole, if it is as short as an element.

    Raises ValueError (json.JSONDecodeError is one); HTTPException (413) where one element has more than `MAX_ELEMENT_CHARACTERS`, or
    there are more than `MAX_ELEMENTS`.
    """
    text = body.decode(json.detect_encoding(body), errors="surrogatepass")
    at = _after_space(text, 0)
    if text[at : at + 1] != "[":
        if len(text) > MAX_ELEMENT_CHARACTERS:
            raise HTTPException(413, "Send an array.")
        return json.loads(text)
    return await _Array(text, at + 1).elements()


class _Array:
    """A reader of an array's elements. `at`: behind the opening bracket."""

    def __init__(self, text: str, at: int) -> None:
        self._text = text
        self._at = _after_space(text, at)
        self._decoder = json.JSONDecoder()
        self._from = self._at
        self._window = ""

    async def elements(self) -> list[Any]:
        found: list[Any] = []
        if self._text[self._at : self._at + 1] == "]":
            return self._ended(found)
        began = time.monotonic()
        while True:
            found.append(self._element())
            if len(found) > MAX_ELEMENTS:
                raise HTTPException(413, "There are too many entries.")
            mark = self._text[self._at : self._at + 1]
            if mark == "]":
                return self._ended(found)
            if mark != ",":
                raise json.JSONDecodeError("Expecting ',' delimiter", "", self._at)
            self._at = _after_space(self._text, self._at + 1)
            if time.monotonic() - began > TURN_SECONDS:
                await asyncio.sleep(0)
                began = time.monotonic()

    def _element(self) -> Any:
        """The one at this place. Only a part of the text is shown to the decoder: one long element would be read in one go."""
        place = self._at - self._from
        if place + MAX_ELEMENT_CHARACTERS > len(self._window):
            self._from, place = self._at, 0
            self._window = self._text[self._at : self._at + 2 * MAX_ELEMENT_CHARACTERS]
        try:
            element, end = self._decoder.raw_decode(self._window, place)
        except json.JSONDecodeError as error:
            if error.pos - place >= MAX_ELEMENT_CHARACTERS:
                raise HTTPException(413, "One entry is too long.") from None
            raise json.JSONDecodeError(error.msg, "", self._from + error.pos) from None
        if end - place > MAX_ELEMENT_CHARACTERS:
            raise HTTPException(413, "One entry is too long.")
        self._at = _after_space(self._text, self._from + end)
        return element

    def _ended(self, found: list[Any]) -> list[Any]:
        rest = _after_space(self._text, self._at + 1)
        if rest != len(self._text):
            raise json.JSONDecodeError("Extra data", "", rest)
        return found


def _after_space(text: str, at: int) -> int:
    space = _SPACE.match(text, at)
    return at if space is None else space.end()
