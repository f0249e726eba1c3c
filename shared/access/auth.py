"""Who asks, over HTTP: the bearer key of a request (RFC 6750), and which roles may do what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from shared.access.keyring import token_hash
from shared.access.keys import KEY_PREFIX, Principal, Role
from shared.db.pool import Database, Tx
from shared.http.parameters import known_parameters_alone
from shared.http.problems import Forbidden, Unauthenticated

_VALID = """
revoked_at IS NULL AND (kind = 'api' OR (expires_at > clock_timestamp() AND idle_at > clock_timestamp() AND EXISTS (
    SELECT 1 FROM access.people p WHERE p.organisation_id = keys.organisation_id AND p.person_id = keys.person_id
    AND p.disabled_at IS NULL AND p.role = keys.role)))
"""
"""A condition on a row of `access.keys`: it is still valid. A session ends by itself, and when its person may not sign in any more."""


async def authenticate(database: Database, secret: str) -> Principal | None:
    """The principal of a key that is not revoked, or of a session that has not ended; looked up on every request, so that a
    revocation is at once."""
    if not secret.startswith(KEY_PREFIX):
        return None
    row = await database.read_one(
        f"SELECT key_id, person_id, organisation_id, role FROM access.keys WHERE key_hash = %s AND {_VALID}",
        (token_hash(secret),),
    )
    if row is None:
        return None
    return Principal(
        key_id=row["key_id"],
        person_id=row["person_id"],
        organisation_id=row["organisation_id"],
        role=Role(row["role"]),
    )


async def still_valid(database: Database, principal: Principal) -> bool:
    """Whether the key of a request that goes on for long is not revoked."""
    query = f"SELECT 1 FROM access.keys WHERE key_id = %s AND {_VALID}"
    return await database.read_one(query, (principal.key_id,)) is not None


async def lock_valid_key(tx: Tx, principal: Principal) -> None:
    """Lock the key's row until the commit, and check that it is valid: a revocation waits for what is done here, and then finds it. To be
    called before other locks are taken. Raises Unauthenticated for a key revoked since the request came."""
    valid = await tx.execute(f"SELECT 1 FROM access.keys WHERE key_id = %s AND {_VALID} FOR SHARE", (principal.key_id,))
    if await valid.fetchone() is None:
        raise Unauthenticated("This key has been revoked. Ask your operations staff for a new one.")


def require(*roles: Role) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency: the principal, or 401 / 403; 422 for a parameter that the path does not know.

    The app's `state.database` is asked.
    """

    async def dependency(request: Request) -> Principal:
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise Unauthenticated("Send your key in the header `Authorization: Bearer tdk_…`.")
        principal = await authenticate(request.app.state.database, secret.strip())
        if principal is None:
            raise Unauthenticated(
                "This key is unknown or has been revoked. Check that it was copied whole, or ask your operations staff for a new one."
            )
        if principal.role not in roles:
            raise Forbidden(
                f"A key with the role {principal.role} cannot do this. Use a key with the role {' or '.join(roles)}."
            )
        known_parameters_alone(request)
        return principal

    return dependency


Helpline = Annotated[Principal, Depends(require(Role.HELPLINE))]
Crawler = Annotated[Principal, Depends(require(Role.CRAWLER))]
Operations = Annotated[Principal, Depends(require(Role.OPERATIONS))]
HelplineOrOperations = Annotated[Principal, Depends(require(Role.HELPLINE, Role.OPERATIONS))]
AnyReader = Annotated[Principal, Depends(require(Role.HELPLINE, Role.OPERATIONS, Role.READER))]
