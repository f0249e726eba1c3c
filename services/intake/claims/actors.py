"""Who acts where no key does: time itself, the command line, a decision read from the log."""

from __future__ import annotations

from uuid import UUID

from shared.access.keys import Principal, Role

NO_KEY = UUID(int=0)

SYSTEM = Principal(key_id=NO_KEY, person_id="takedown", organisation_id="takedown", role=Role.OPERATIONS)
"""What becomes due by itself."""

COMMAND_LINE = Principal(key_id=NO_KEY, person_id="command-line", organisation_id="takedown", role=Role.OPERATIONS)


def decider(person_id: str, organisation_id: str) -> Principal:
    """The person a decision on the log names; their key is not named there."""
    return Principal(key_id=NO_KEY, person_id=person_id, organisation_id=organisation_id, role=Role.OPERATIONS)
