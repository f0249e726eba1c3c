"""Each benchmark replaces its own section of the document and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.document import replace_section


def test_a_section_is_replaced_and_the_others_stay(tmp_path: Path) -> None:
    document = tmp_path / "performance.md"
    replace_section("index", "## Index\n\nslow\n", document)
    replace_section("stream", "## Stream", document)
    replace_section("index", "## Index\n\nfast\n", document)
    assert document.read_text() == (
        "# Performance\n\n<!-- index -->\n\n## Index\n\nfast\n\n<!-- /index -->\n\n"
        "<!-- stream -->\n\n## Stream\n\n<!-- /stream -->\n"
    )


@pytest.mark.parametrize("text", ["<!-- index -->\n", "<!-- /index -->\n<!-- index -->\n", "<!-- index -->\n" * 2])
def test_a_document_with_marks_that_are_no_pair_is_left_alone(tmp_path: Path, text: str) -> None:
    document = tmp_path / "performance.md"
    document.write_text(text)
    with pytest.raises(ValueError, match="pair"):
        replace_section("index", "fast", document)
    assert document.read_text() == text
