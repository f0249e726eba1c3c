"""The directory's file: what is taken, and every error with its line and column."""

from __future__ import annotations

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.directory.csv_import import BadDirectory, parse_csv, render_csv
from services.notifier.directory.store import suffixes

SECRET = "whsec_" + base64.b64encode(b"x" * 32).decode()
HEADER = "organisation,domains,name,rung,webhook_url,webhook_secrets,email,next_rung,posture,bound_by,country"


def test_a_whole_line() -> None:
    text = (
        f"{HEADER}\r\n"
        f'Acme,Example.COM. bücher.example,"Acme, Inc.",site_operator,https://acme.example/hook,{SECRET} {SECRET[:-2]}E=,'
        "abuse@acme.example,uplink,normal,uk_osa_20a,gb\r\n"
        "uplink,uplink.example,,hosting_provider,,,noc@uplink.example,,unknown,\r\n"
    )
    acme, uplink = parse_csv("\ufeff" + text)
    assert acme.organisation == "acme"
    assert acme.domains == ("example.com", "xn--bcher-kva.example")
    assert acme.name == "Acme, Inc."
    assert (acme.bound_by, acme.country) == (("uk_osa_20a",), "GB")
    assert len(acme.webhook_secrets) == 2
    assert (uplink.name, uplink.posture, uplink.webhook_url, uplink.line) == ("uplink", "unknown", None, 3)


def test_few_columns_are_enough_and_nothing_is_assumed_normal() -> None:
    (one,) = parse_csv("organisation,domains\nacme,acme.example\n")
    assert one.posture == "unknown"
    assert (one.bound_by, one.country) == ((), None)
    assert one.rung == "site_operator"


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("A B,x.example,,,,,,,,", "organisation"),
        ("a,x..example,,,,,,,,", "domains"),
        ("a,x.example,,landlord,,,,,,", "rung"),
        ("a,x.example,,,ftp://x.example/,SECRET,,,,", "webhook_url"),
        ("a,x.example,,,https://u:p@x.example/,SECRET,,,,", "webhook_url"),
        ("a,x.example,,,https://x.example/,,,,,", "webhook_secrets"),
        ("a,x.example,,,https://x.example/,whsec_nope,,,,", "webhook_secrets"),
        ("a,x.example,,,https://x.example/,SECRET SECRET SECRET,,,,", "webhook_secrets"),
        ("a,x.example,,,,SECRET,,,,", "webhook_secrets"),
        ("a,x.example,,,,,nobody,,,", "email"),
        ("a,x.example,,,,,,b,,", "next_rung"),
        ("a,x.example,,,,,,a,,", "next_rung"),
        ("a,x.example,,,,,,,friendly,", "posture"),
        ("a,x.example,,,,,,,,gdpr", "bound_by"),
        ("a,x.example,,,,,,,,,UK", "country"),
        ("a,x.example,,,,,,,,,GB,extra", "(line)"),
    ],
)
def test_every_error_is_named(line: str, column: str) -> None:
    text = f"{HEADER}\nok,ok.example,,,,,,,,\n{line.replace('SECRET', SECRET)}\n"
    with pytest.raises(BadDirectory) as refused:
        parse_csv(text)
    assert [(error.line, error.column) for error in refused.value.errors] == [(3, column)]
    assert "x" * 10 not in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize("rung", ["hosting_provider", "cdn", "registrar", "search_engine", "regulator"])
def test_a_law_for_operators_of_services_binds_nobody_on_another_rung(rung: str) -> None:
    header = "organisation,domains,rung,bound_by"
    with pytest.raises(BadDirectory) as refused:
        parse_csv(f"{header}\nacme,acme.example,{rung},uk_osa_20a\n")
    assert [(one.line, one.column) for one in refused.value.errors] == [(2, "bound_by")]
    assert "user-to-user" in str(refused.value)
    assert parse_csv(f"{header}\nacme,acme.example,,uk_osa_20a\n")[0].bound_by == ("uk_osa_20a",)


def test_contradictions_between_lines() -> None:
    with pytest.raises(BadDirectory) as refused:
        parse_csv("organisation,domains,next_rung\na,x.example,b\nb,x.example,a\na,y.example,\n")
    found = {(error.line, error.column) for error in refused.value.errors}
    assert {(3, "domains"), (4, "organisation"), (2, "next_rung"), (3, "next_rung")} <= found


def test_a_next_rung_that_is_already_in_the_directory() -> None:
    (one,) = parse_csv("organisation,domains,next_rung\na,x.example,b\n", known=frozenset({"b"}))
    assert one.next_rung == "b"


@pytest.mark.parametrize("header", ["", "organisation", "organisation,domains,webhook_secret"])
def test_a_header_without_sense(header: str) -> None:
    with pytest.raises(BadDirectory) as refused:
        parse_csv(f"{header}\na,b.example\n")
    assert all(error.line == 1 for error in refused.value.errors)


@pytest.mark.parametrize("header", ['"organisation"domains', "x" * 200_000])
def test_a_header_that_is_no_csv(header: str) -> None:
    with pytest.raises(BadDirectory) as refused:
        parse_csv(f"{header}\nacme,acme.example\n")
    assert [(error.line, error.column) for error in refused.value.errors] == [(1, "(line)")]


def test_suffixes() -> None:
    assert suffixes("A.b.Example.") == ("a.b.example", "b.example", "example")
    assert suffixes("127.0.0.1") == ("127.0.0.1",)
    assert suffixes("2001:db8::1") == ("2001:db8::1",)


@pytest.mark.parametrize(
    "email", ["a..b@x.example", ".a@x.example", "a@x..example", "a@.", "a(b)@x.example", "a@b@c.example"]
)
def test_an_address_that_no_mail_can_carry_is_refused(email: str) -> None:
    with pytest.raises(BadDirectory) as refused:
        parse_csv(f"organisation,domains,email\na,x.example,{email}\n")
    assert [(error.line, error.column) for error in refused.value.errors] == [(2, "email")]


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@given(st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9._-]{0,20}", fullmatch=True), NAMES, max_size=5))
def test_what_is_written_is_read_as_it_was(names: dict[str, str]) -> None:
    """A comma, a quote or a line end in a cell stays in its cell."""
    rows = [
        {"organisation": key, "name": name, "domains": f"{n}.example"} for n, (key, name) in enumerate(names.items())
    ]
    assert {row.organisation: row.name for row in parse_csv(render_csv(rows))} == {
        key: name.strip() or key for key, name in names.items()
    }


def test_a_column_that_there_is_not_is_not_written() -> None:
    with pytest.raises(ValueError, match="phone"):
        render_csv([{"organisation": "acme", "domains": "acme.example", "phone": "1"}])


def test_a_ladder_as_long_as_the_file_is_read_in_time_that_grows_with_it() -> None:
    """Every organisation has the next line's as its next rung; in the second file the last one has the first."""
    many = 20_000
    ladder = [{"organisation": f"o{n}", "domains": f"h{n}.example", "next_rung": f"o{n + 1}"} for n in range(many - 1)]
    end = {"organisation": f"o{many - 1}", "domains": "last.example"}
    began = time.thread_time()
    assert len(parse_csv(render_csv([*ladder, end]))) == many
    with pytest.raises(BadDirectory) as raised:
        parse_csv(render_csv([*ladder, {**end, "next_rung": "o0"}]))
    assert {(error.column, error.line) for error in raised.value.errors} == {
        ("next_rung", line) for line in range(2, many + 2)
    }
    assert time.thread_time() - began < 20, "seconds of processor; walked from each line anew it takes minutes"


@pytest.mark.parametrize(
    ("next_rungs", "endless"),
    [
        ({"a": "b", "b": "c"}, set()),
        ({"a": "a"}, {"a"}),
        ({"a": "b", "b": "a"}, {"a", "b"}),
        ({"a": "b", "b": "c", "c": "b"}, {"a", "b", "c"}),
        ({"c": "b", "b": "c", "a": "b", "d": "e"}, {"a", "b", "c"}),
        ({"a": "known", "b": "a"}, set()),
    ],
)
def test_next_rungs_that_lead_back(next_rungs: dict[str, str], endless: set[str]) -> None:
    names = ["a", "b", "c", "d", "e"]
    rows = [
        {"organisation": name, "domains": f"{name}.example", "next_rung": next_rungs.get(name, "")} for name in names
    ]
    found: set[str] = set()
    try:
        parse_csv(render_csv(rows), known=frozenset({"known"}))
    except BadDirectory as error:
        found = {names[one.line - 2] for one in error.errors}
    assert found == endless
