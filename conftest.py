"""The one conftest at the root: pytest takes plugins from here alone."""

from hypothesis import strategies

pytest_plugins = ["tests.fixtures_servers"]


def pytest_collection_finish() -> None:
    """Hypothesis imports what it reads patterns with at the first one.

    Within a test, below the recursion limit that Hypothesis raises, CPython 3.11 fails to parse that module now and then ("AST
    constructor recursion depth mismatch").
    """
    strategies.from_regex("a").validate()
