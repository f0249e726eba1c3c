"""`docs/performance.md`: each command writes its own section, between marks, and leaves the others as they are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"


def replace_section(name: str, markdown: str, document: Path = DOCUMENT) -> None:
    """Put `markdown` between the marks of section `name`; a new section comes last.

    Raises ValueError for a document where a mark of the section is missing or there twice: nothing is written then.
    """
    text = document.read_text() if document.exists() else "# Performance\n"
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->\n"
    section = start + "\n" + markdown.strip() + "\n\n" + end
    marks = (text.count(start), text.count(end))
    if marks == (0, 0):
        document.write_text(text.rstrip() + "\n\n" + section)
        return
    if marks != (1, 1) or text.index(end) < text.index(start):
        raise ValueError(f"the marks of section {name} in {document.name} are not a pair")
    before, _, rest = text.partition(start)
    document.write_text(before + section + rest.partition(end)[2])
