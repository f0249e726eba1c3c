"""The sentence a person reads when a decision cannot be taken now, by the word that `domain/decisions.py` or `application/decisions.py`
gives."""

from __future__ import annotations

from collections.abc import Mapping

SENTENCES: Mapping[str, str] = {
    "already_ended": "This takedown has ended already. `recheck` takes it up again.",
    "already_stopped": "This takedown has ended or is suspended already.",
    "fetching_stopped": "This content may show a minor, and nothing of it is fetched. Decide `resume_fetching` or `suspend` on its task.",
    "look_in_future": "This look is in the future. Say when you looked, no later than now.",
    "needs_content": "This decision is about a content. Name it in content_id, or decide it on a task about it.",
    "needs_release": "This takedown is held for a person. Decide `release` to go on, or `reject` or `dismiss` to end it.",
    "needs_takedown": "This decision is about one takedown. Name it in takedown_id, task_id or demand_id.",
    "no_such_delivery": "No message of this demand was delivered that could have come back. Name the demand_id that did.",
    "no_such_takedown": "There is no takedown with this id of this content.",
    "not_checked": "A suspended or rejected takedown is not checked. Decide `resume` first where it is suspended.",
    "not_held": "Nothing is held here that could be released.",
    "not_suspended": "This takedown is not suspended by a person.",
    "nothing_to_ask": "Nobody is being asked in this state, so nobody else can be asked.",
    "not_rejected": "This takedown is not rejected, so there is no rejection to undo.",
    "own_rejection": "You rejected this match yourself. To confirm it takes another person, and so does undoing it after 15 minutes.",
    "own_look": "You saw it there yourself, so another person must release it.",
    "own_assertion": "You reported this copy yourself, so another person must release it.",
    "possible_minor": "This content may show a minor: only operations staff can decide about it.",
    "recipient_missing": "For `reroute`, name the organisation to ask, by its key in the directory.",
    "seen_since": "A check of ours or a person saw it there at that time or after it. Please look again, and say when you did.",
    "suspended": "This takedown is suspended. Decide `resume` first.",
    "task_of_another_takedown": "This task belongs to another takedown.",
    "unknown_host": "The directory does not know this host. Add it there and this goes on by itself, or decide `reroute`.",
    "withdrawn": "The content of this takedown was withdrawn, so nothing more can be decided about it.",
}


def sentence_of(reason: str) -> str:
    """What a person reads; empty for a word that is not known."""
    return SENTENCES.get(reason, "")
