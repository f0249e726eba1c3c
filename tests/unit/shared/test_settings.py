"""Settings: an unknown or bad one stops the start in one line that names it, wherever it was written."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import BadSettings
from shared.process.settings import Settings, load


def said_of(variables: dict[str, str] | None = None, **more: object) -> str:
    with pytest.raises(BadSettings) as refused:
        load(variables or {}, **more)
    said = str(refused.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize(
    ("written", "named"),
    [
        ('public_urll = "x"', "public_urll is not a setting"),
        ("[policy]\nflood = 1", "policy.flood is not a setting"),
        ("[policy]\nclock_scale = 0", "policy.clock_scale"),
        ("port = 'many'", "port"),
        ("[policy", "]"),
    ],
)
def test_what_is_wrong_in_the_file_is_named_as_it_stands_there(tmp_path: Path, written: str, named: str) -> None:
    file = tmp_path / "takedown.toml"
    file.write_text(written)
    said = said_of({"TAKEDOWN_CONFIG": str(file)})
    assert named.lower() in said.lower()
    assert str(file) in said


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert str(tmp_path / "none.toml") in said_of({"TAKEDOWN_CONFIG": str(tmp_path / "none.toml")})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("case_ref_pattern", "["),
        *(
            ("public_url", text)
            for text in ("nonsense", "ftp://a.example", "https://", "https://a.example/?x=1", "https://a.example/#x")
        ),
        *(("port", text) for text in ("many", "-1", "65536")),
        ("smtp_port", "0"),
        ("log", "papyrus"),
        *((name, "here") for name in ("intake_url", "notifier_url")),
        *(("key", text) for text in ("tdk_x tdk_y", "tdk_x\n  key id")),
        *((name, "no JSON") for name in ("policy", "outbound_allow", "static_hosts")),
    ],
)
def test_a_bad_value_is_refused_before_anything_starts(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    variable = f"TAKEDOWN_{name.upper()}"
    monkeypatch.setenv(variable, value)
    said = said_of({variable: value})
    assert variable in said
    assert "Value error" not in said


def test_an_unknown_variable_is_refused() -> None:
    assert "TAKEDOWN_NONSENSE is not a setting" in said_of({"TAKEDOWN_NONSENSE": "1"})


def test_a_variable_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "takedown.toml"
    file.write_text(
        'vantage = "file"\npublic_url = "https://takedown.helpline.example/base"\n[policy]\nvoluntary_response = "P3D"\n'
    )
    monkeypatch.setenv("TAKEDOWN_VANTAGE", "variable")
    settings: Settings = load({"TAKEDOWN_CONFIG": str(file), "TAKEDOWN_VANTAGE": "variable"})
    assert (settings.vantage, settings.public_url) == ("variable", "https://takedown.helpline.example/base")
    assert settings.policy.voluntary_response.days == 3
