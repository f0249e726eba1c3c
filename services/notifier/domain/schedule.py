"""When something is due. Pure: random fractions in [0, 1) are arguments, and every wait goes through `policy.scaled`."""

from __future__ import annotations

from datetime import datetime, timedelta

from shared.policy import Policy


def next_attempt(
    *,
    attempt: int,
    now: datetime,
    give_up_at: datetime | None,
    jitter: float,
    policy: Policy,
    retry_after_seconds: float | None = None,
) -> datetime:
    """When to try again after the `attempt`-th (from 1) failed delivery.

    Full jitter (uniform in [0, window), the window doubling from base to cap). The host's `Retry-After` is kept as a lower
    bound, in real seconds. With `give_up_at` it is planned backwards: never so late that no attempt would end before it.
    """
    delay = policy.scaled(_window(policy.delivery_retry_base, policy.delivery_retry_cap, attempt)) * jitter
    if retry_after_seconds is not None:
        delay = max(delay, timedelta(seconds=max(0.0, min(retry_after_seconds, 7 * 86_400.0))))
    at = now + delay
    if give_up_at is None or at <= now:
        return at
    remaining = give_up_at - now
    room = min(timedelta(seconds=policy.webhook_timeout_seconds), remaining / 2)
    return min(at, max(now, give_up_at - room))


def first_check_retry(*, check: int, now: datetime, since: datetime, jitter: float, policy: Policy) -> datetime:
    """When to look again after the `check`-th (from 1) look that said nothing; the last at the end of the patience."""
    window = policy.scaled(_window(policy.first_check_retry_base, policy.first_check_retry_cap, check))
    end = since + policy.scaled(policy.first_check_patience)
    return max(now, min(now + window * (0.5 + jitter / 2), end))


def out_of_patience(*, now: datetime, since: datetime, policy: Policy) -> bool:
    """Whether the first look was tried for long enough."""
    return now - since >= policy.scaled(policy.first_check_patience)


def next_watch(*, removed_at: datetime, now: datetime, policy: Policy) -> datetime:
    """The next look at a removed target: at growing distances from its removal, then at a fixed one."""
    for wait in policy.watch_at:
        at = removed_at + policy.scaled(wait)
        if at > now:
            return at
    last = removed_at + policy.scaled(policy.watch_at[-1]) if policy.watch_at else removed_at
    every = policy.scaled(policy.watch_every)
    return last + every * ((now - last) // every + 1)


def is_browser_watch(*, removed_at: datetime, now: datetime, policy: Policy) -> bool:
    """Whether a browser looks at this watch, too: at some of the first, and at all after the last of them."""
    passed = [wait for wait in policy.watch_at if removed_at + policy.scaled(wait) <= now]
    return len(passed) == len(policy.watch_at) or (bool(passed) and passed[-1] in policy.browser_watch_at)


def routine(*, every: timedelta, now: datetime, jitter: float, policy: Policy) -> datetime:
    """The next of a row of equal waits, spread by up to a tenth so that a burst does not stay one."""
    return now + policy.scaled(every) * (0.9 + jitter / 10)


def reminders(*, delivered_at: datetime, deadline: datetime, policy: Policy) -> tuple[tuple[int, datetime], ...]:
    """(number from 1, moment) of each reminder between the delivery and the deadline."""
    clock = deadline - delivered_at
    return tuple(
        (number, delivered_at + clock * fraction) for number, fraction in enumerate(policy.reminder_fractions, start=1)
    )


def observation_valid_for(policy: Policy) -> timedelta:
    """How old our own look may be when a demand rests on it.

    Scaled like a wait, but never below the time that one fetch and one delivery really take: that time does not scale.
    """
    real = timedelta(seconds=2 * (policy.fetch_timeout_seconds + policy.webhook_timeout_seconds))
    return min(policy.observation_max_age, max(policy.scaled(policy.observation_max_age), real))


def _window(base: timedelta, cap: timedelta, attempt: int) -> timedelta:
    doublings = max(0, min(attempt - 1, 40))
    return timedelta(seconds=min(cap.total_seconds(), base.total_seconds() * 2.0**doublings))
