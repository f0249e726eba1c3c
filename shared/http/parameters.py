"""Parameters of a query that a path does not know: a misspelt filter must not show everything."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from shared.http.problems import Invalid


def known_parameters_alone(request: Request) -> None:
    """A dependency. Raises Invalid with the name of a parameter that neither the route nor what it depends on declares."""
    route = request.scope.get("route")
    if not request.query_params or not isinstance(route, APIRoute):
        return
    known = frozenset(_names(route.dependant))
    for name in request.query_params:
        if name not in known:
            raise Invalid("There is no such parameter here. Check its spelling, or leave it out.", parameter=name)


def _names(dependant: Dependant) -> Iterator[str]:
    yield from (field.alias for field in dependant.query_params)
    for one in dependant.dependencies:
        yield from _names(one)
