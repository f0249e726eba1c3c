"""Actors that are no key of a person or program: the passing of time, the command line, a decision read from the log."""

from __future__ import annotations

from uuid import UUID

from shared.access.keys import Principal, Role

NO_KEY = UUID(int=0)

SYSTEM = Principal(key_id=NO_KEY, person_id="takedown", organisation_id="takedown", role=Role.OPERATIONS)
"""The actor of what becomes due by itself."""

COMMAND_LINE = Principal(key_id=NO_KEY, person_id="command-line", organisation_id="takedown", role=Role.OPERATIONS)


def decider(person_id: str, organisation_id: str) -> Principal:
    """The person a decision on the log names; their key is not named there."""
    return Principal(key_id=NO_KEY, person_id=person_id, organisation_id=organisation_id, role=Role.OPERATIONS)
