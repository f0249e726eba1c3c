"""Nothing is missed and nothing forbidden is sent, in any order of anything; and each rule of the join, left out, is missed.

The matchers under test run the product's own code on a log in memory with virtual time. `TAKEDOWN_TEST_MODEL_RUNS` explores more.
The rule of static membership concerns the brokers alone and is not modelled. State is in real files: a process starts from what it, or a
copy of it, left on its disk.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.join.explorer import PROFILE, explore
from tests.simulation.join.file_rules import FILE_RULES
from tests.simulation.join.observer import observe
from tests.simulation.join.rules import JOIN_RULES, Rule
from tests.simulation.join.sequences import play
from tests.simulation.join.world import Violation

RULES = (*JOIN_RULES, *FILE_RULES)
RUNS = int(os.environ.get("TAKEDOWN_TEST_MODEL_RUNS", "150"))
SEARCH = 400
"""Seeds tried until a rule left out is noticed, should the known one no longer do."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


def told(violation: Violation) -> str:
    return "\n".join([str(violation), repr(violation.__cause__), *violation.__notes__])


def _explore(rule: Rule, seed: int, **flags: bool) -> Violation | None:
    return explore(seed, steps=rule.steps, profile={**PROFILE, **rule.favour}, **rule.always, **flags)


@given(rule=st.sampled_from(JOIN_RULES), redacts=st.booleans(), slow_disk=st.booleans(), seed=st.integers(0, 2**32))
@settings(max_examples=RUNS, deadline=None)
def test_nothing_is_missed_and_nothing_forbidden_is_sent(rule: Rule, redacts: bool, slow_disk: bool, seed: int) -> None:
    """Whatever is favoured: chance alone, and what is bad for one of the rules."""
    with pytest.MonkeyPatch.context() as patch:
        observe(patch.setattr)
        violation = _explore(rule, seed, redacts=redacts, slow_disk=slow_disk)
    assert violation is None, told(violation)


@pytest.mark.parametrize("slow_disk", [False, True], ids=["", "slow disk"])
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.sequence], ids=lambda rule: rule.name)
def test_a_sequence_ends_well_with_the_rule(rule: Rule, slow_disk: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rule.sequence is not None
    observe(monkeypatch.setattr)
    violation = play(rule.sequence, **{**rule.always, "slow_disk": slow_disk})
    assert violation is None, told(violation)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_each_rule_left_out_is_noticed(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    rule.leave_out(monkeypatch.setattr)
    observe(monkeypatch.setattr)
    if rule.sequence is not None:
        assert play(rule.sequence, **rule.always, **rule.without) is not None
        return
    for seed in (rule.seed, *range(SEARCH)):
        if _explore(rule, seed, **rule.without) is not None:
            return
    pytest.fail(f"{SEARCH} runs without this rule, and nothing was amiss")
