"""The same targets as `make fuzz`, for a moment: the seeds, and some changes of them that are the same in each run."""

from __future__ import annotations

from itertools import islice

import pytest

from tests.fuzz.run import inputs, tried
from tests.fuzz.targets import TARGETS, Target

TRIES = {"media": 12, "pages": 80, "answers": 120}
"""Others get 400; a picture takes a tenth of a second."""


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_it_refuses_by_name_or_reads(target: Target) -> None:
    few = list(target.seeds())
    findings = [tried(target, data) for data in few[:40]]
    findings += [
        tried(target, data) for data in islice(inputs(target, 1), len(few), len(few) + TRIES.get(target.name, 400))
    ]
    assert [(one.what, one.data[:300]) for one in findings if one is not None] == []
