"""The form of a case reference: the operator's setting, checked where one is given."""

from __future__ import annotations

import re

from shared.http.problems import Invalid
from shared.process.settings import Settings


def check_case_ref(case_ref: str, settings: Settings) -> None:
    """Raises Invalid for one that does not match `case_ref_pattern` as a whole."""
    if re.fullmatch(settings.case_ref_pattern, case_ref) is None:
        raise Invalid(
            f"This is not a case reference as this installation writes them (its setting case_ref_pattern:"
            f" {settings.case_ref_pattern}).",
            pointer="#/case_ref",
        )
