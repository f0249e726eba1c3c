"""The one conftest at the root: pytest takes plugins from here alone."""

import pytest
from hypothesis import strategies

pytest_plugins = ["tests.fixtures_servers"]

LONGEST_FIRST = ("tests/e2e/", "tests/browser/", "tests/integration/", "tests/contract/")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Test processes beside one another end at about the same time when the longest files begin first."""
    items.sort(key=lambda item: [not item.nodeid.startswith(folder) for folder in LONGEST_FIRST])


def pytest_collection_finish() -> None:
    """Hypothesis imports what it reads patterns with at the first one.

    Within a test, below the recursion limit that Hypothesis raises, CPython 3.11 fails to parse that module now and then ("AST
    constructor recursion depth mismatch").
    """
    strategies.from_regex("a").validate()
