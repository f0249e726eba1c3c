"""Intake's schema: one file of this room owns the SQL of each table."""

from __future__ import annotations

SCHEMA_NAME = "intake"
