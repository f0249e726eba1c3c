"""When something is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from services.notifier.domain import schedule
from shared.policy import Policy

NOW = datetime(2026, 11, 24, tzinfo=UTC)
POLICY = Policy()
jitters = st.floats(min_value=0, max_value=1, exclude_max=True)
attempts = st.integers(min_value=1, max_value=10_000)
scales = st.sampled_from([1.0, 0.1, 0.001])


@settings(max_examples=200)
@given(attempt=attempts, jitter=jitters, scale=scales, minutes_left=st.floats(min_value=0.01, max_value=360))
def test_a_retry_is_never_in_the_past_nor_after_the_end(
    attempt: int, jitter: float, scale: float, minutes_left: float
) -> None:
    policy = Policy(clock_scale=scale)
    end = NOW + timedelta(minutes=minutes_left)
    at = schedule.next_attempt(attempt=attempt, now=NOW, give_up_at=end, jitter=jitter, policy=policy)
    assert NOW <= at < end
    assert at - NOW <= policy.scaled(policy.delivery_retry_cap)


def test_the_window_doubles_from_5_seconds_to_30_minutes() -> None:
    windows = [
        schedule.next_attempt(attempt=n, now=NOW, give_up_at=None, jitter=1.0, policy=POLICY) - NOW
        for n in range(1, 12)
    ]
    assert [int(one.total_seconds()) for one in windows] == [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]


def test_full_jitter_reaches_down_to_nothing() -> None:
    assert schedule.next_attempt(attempt=9, now=NOW, give_up_at=None, jitter=0.0, policy=POLICY) == NOW


def test_retry_after_is_a_lower_bound_within_the_time_and_not_scaled() -> None:
    policy = Policy(clock_scale=0.001)
    at = schedule.next_attempt(
        attempt=1, now=NOW, give_up_at=NOW + timedelta(hours=1), jitter=0.3, policy=policy, retry_after_seconds=90
    )
    assert at == NOW + timedelta(seconds=90)
    end = NOW + timedelta(minutes=10)
    late = schedule.next_attempt(
        attempt=1, now=NOW, give_up_at=end, jitter=0.3, policy=POLICY, retry_after_seconds=86_400
    )
    assert late == end - timedelta(seconds=POLICY.webhook_timeout_seconds)


@settings(max_examples=100)
@given(seconds=st.floats(allow_nan=False), jitter=jitters)
def test_no_retry_after_breaks_the_plan(seconds: float, jitter: float) -> None:
    at = schedule.next_attempt(
        attempt=3, now=NOW, give_up_at=None, jitter=jitter, policy=POLICY, retry_after_seconds=seconds
    )
    assert NOW <= at <= NOW + timedelta(days=7)


@settings(max_examples=200)
@given(check=attempts, jitter=jitters, hours=st.floats(min_value=0, max_value=48))
def test_the_first_look_is_repeated_within_the_patience(check: int, jitter: float, hours: float) -> None:
    now = NOW + timedelta(hours=hours)
    at = schedule.first_check_retry(check=check, now=now, since=NOW, jitter=jitter, policy=POLICY)
    assert at >= now
    assert at <= max(now, NOW + POLICY.first_check_patience)
    assert schedule.out_of_patience(now=now, since=NOW, policy=POLICY) == (hours >= 24)


@settings(max_examples=200)
@given(hours=st.floats(min_value=0, max_value=24 * 400), scale=scales)
def test_the_watch_is_always_ahead_and_never_ends(hours: float, scale: float) -> None:
    policy = Policy(clock_scale=scale)
    now = NOW + policy.scaled(timedelta(hours=hours))
    at = schedule.next_watch(removed_at=NOW, now=now, policy=policy)
    assert now < at <= now + policy.scaled(timedelta(days=30, seconds=1))


def test_the_watch_at_its_defaults() -> None:
    seen, now = [], NOW
    for _ in range(9):
        now = schedule.next_watch(removed_at=NOW, now=now, policy=POLICY)
        seen.append((now - NOW) / timedelta(hours=1))
    assert seen == [1, 6, 24, 72, 168, 336, 720, 1440, 2160]


def test_reminders_lie_at_half_and_nine_tenths() -> None:
    found = schedule.reminders(delivered_at=NOW, deadline=NOW + timedelta(hours=48), policy=POLICY)
    assert found == ((1, NOW + timedelta(hours=24)), (2, NOW + timedelta(hours=43.2)))


def test_an_observation_is_valid_for_an_hour_and_never_for_less_than_the_io_takes() -> None:
    assert schedule.observation_valid_for(POLICY) == timedelta(hours=1)
    assert schedule.observation_valid_for(Policy(clock_scale=0.0001)) == timedelta(seconds=60)
    assert schedule.observation_valid_for(Policy(clock_scale=0.5)) == timedelta(minutes=30)


@settings(max_examples=100)
@given(jitter=jitters)
def test_routine_looks_are_spread(jitter: float) -> None:
    at = schedule.routine(every=timedelta(hours=10), now=NOW, jitter=jitter, policy=POLICY)
    assert timedelta(hours=9) <= at - NOW <= timedelta(hours=10)
