"""Every event model by its type, and by topic."""

from __future__ import annotations

from shared.contracts import claims, content, dead_letters, decisions, lifecycle, matches, sightings, targets
from shared.contracts.event import Event
from shared.contracts.topics import (
    CLAIMS,
    CONTENT,
    DEAD_LETTERS,
    DECISIONS,
    LIFECYCLE,
    MATCHES,
    SIGHTINGS,
    TARGETS,
)

MODELS_BY_TOPIC: dict[str, dict[str, type[Event]]] = {
    CONTENT.name: {**content.MODELS},
    CLAIMS.name: {**claims.MODELS},
    SIGHTINGS.name: {**sightings.MODELS},
    MATCHES.name: {**matches.MODELS},
    DECISIONS.name: {**decisions.MODELS},
    TARGETS.name: {**targets.MODELS},
    LIFECYCLE.name: {**lifecycle.MODELS},
    DEAD_LETTERS.name: {**dead_letters.MODELS},
}
