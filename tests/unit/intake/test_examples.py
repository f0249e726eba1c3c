"""The examples in the API's description are what intake takes and gives."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from services.intake.api import answers, answers_to_crawlers
from services.intake.domain import schemas
from shared.http.answers import Answer

MODELS = [
    model
    for module in (answers, answers_to_crawlers, schemas)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.model_config.get("json_schema_extra")
]


def examples(model: type[BaseModel]) -> list[Any]:
    extra = model.model_config.get("json_schema_extra")
    assert isinstance(extra, dict)
    found = extra["examples"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__name__))
def test_an_example_fits_its_model(model: type[BaseModel]) -> None:
    for shown in examples(model):
        read = model.model_validate_json(json.dumps(shown))
        if issubclass(model, Answer):
            assert read.model_dump(mode="json") == shown
