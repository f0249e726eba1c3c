"""Each reason for which a decision is refused has a sentence, and no sentence is left over."""

from __future__ import annotations

import ast
import inspect
from types import ModuleType

from services.notifier.api.refused_decisions import SENTENCES
from services.notifier.application import decisions as applied
from services.notifier.domain import decisions as decided
from services.notifier.domain import endings
from shared.contracts.decisions import DecisionKind


def reasons_in(module: ModuleType) -> set[str]:
    """The words that functions of the module which give `str | None` return."""
    found = set()
    for function in ast.walk(ast.parse(inspect.getsource(module))):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or function.returns is None:
            continue
        if ast.unparse(function.returns) != "str | None":
            continue
        for returned in (one for one in ast.walk(function) if isinstance(one, ast.Return) and one.value is not None):
            assert returned.value is not None
            names = (one for one in ast.walk(returned.value) if isinstance(one, ast.Constant | ast.Name))
            for one in names:
                word = one.value if isinstance(one, ast.Constant) else getattr(module, one.id, None)
                if isinstance(word, str):
                    found.add(word)
    return found


def test_every_reason_has_a_sentence() -> None:
    assert reasons_in(decided) | reasons_in(endings) | reasons_in(applied) == SENTENCES.keys()


def test_a_sentence_names_no_decision_that_there_is_not() -> None:
    kinds = {kind.value for kind in DecisionKind}
    for sentence in SENTENCES.values():
        assert sentence.endswith(".")
        assert set(sentence.split("`")[1::2]) <= kinds
