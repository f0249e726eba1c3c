"""The schemas that a deployment migrates are those the services work on."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.intake.service import SCHEMA as INTAKE
from services.notifier.store.takedowns import SCHEMA as NOTIFIER
from services.standalone import assembly
from shared.db.migrations import NoMigrations, Schema
from shared.process.settings import load


def test_every_schema_is_migrated_from_the_folder_of_its_service() -> None:
    schemas = {schema.name: schema for schema in assembly.schemas_of(load({}))}
    assert schemas["intake"] == INTAKE
    assert schemas["notifier"] == NOTIFIER
    assert all(schema.files() for schema in schemas.values())


def test_a_folder_without_migrations_is_not_taken_for_an_up_to_date_schema(tmp_path: Path) -> None:
    with pytest.raises(NoMigrations):
        Schema(name="intake", folder=tmp_path).files()
