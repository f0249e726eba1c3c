"""The desk's style and scripts, by name; there are no others to be had."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import Response

from shared.http.problems import NotFound

_FOLDER = Path(__file__).parents[1] / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_FILES = {file.name: file for file in _FOLDER.iterdir() if file.suffix in _TYPES}

routes = APIRouter(prefix="/desk/static", include_in_schema=False)


@routes.get("/{name}")
async def static_file(name: str) -> Response:
    file = _FILES.get(name)
    if file is None:
        raise NotFound("There is no such file.")
    return Response(
        file.read_bytes(),
        media_type=_TYPES[file.suffix],
        headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
    )
