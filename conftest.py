"""The one conftest at the root: pytest takes plugins from here alone."""

pytest_plugins = ["tests.fixtures_servers"]
