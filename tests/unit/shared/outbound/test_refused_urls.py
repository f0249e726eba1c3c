"""What is refused before anything is dialled: webhooks at addresses of ours, and names under which anybody may register."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from services.intake.domain.schemas import Domain
from services.notifier.directory.csv_import import BadDirectory, LineError, parse_csv
from shared.outbound.guard import AddressGuard
from shared.urls import WebUrl, is_public_suffix, parse_url

GUARD = AddressGuard(
    allow=[("127.0.1.2", 8080)], static_hosts={"site.test": ("127.0.1.2", 8080)}, allow_static_hosts=True
)
SECRET = "whsec_" + "A" * 32


def refused(url: WebUrl) -> str | None:
    return GUARD.refusal_of(url.host, url.port, plain=url.scheme != "https")


def errors_of(text: str) -> list[tuple[int, str]]:
    found: tuple[LineError, ...] = ()
    try:
        parse_csv(text, refused=refused)
    except BadDirectory as error:
        found = error.errors
    assert not any("127." in one.text or "10.0" in one.text for one in found)
    return [(one.line, one.column) for one in found]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/hook",
        "https://127.0.1.2:8081/hook",
        "https://10.0.0.7:8443/",
        "https://169.254.169.254/latest",
        "https://0x7f.1/",
        "https://2130706433/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://localhost/",
        "https://db.localhost:8443/",
        "https://host.example:25/",
        "https://host.example:6379/",
        "http://host.example/",
        "http://93.184.216.34/",
    ],
)
def test_a_webhook_where_nothing_is_ever_sent(url: str) -> None:
    text = f"organisation,domains,webhook_url,webhook_secrets\na,host.example,{url},{SECRET}\n"
    assert errors_of(text) == [(2, "webhook_url")]
    assert parse_csv(text), "without a guard nothing is refused"


@pytest.mark.parametrize(
    "url",
    [
        "https://host.example/hook",
        "https://host.example:8443/",
        "https://93.184.216.34/",
        "http://127.0.1.2:8080/x",
        "http://site.test:8080/hooks",
        "http://SITE.test.:8080/hooks",
        "https://[2606:2800:220:1::1]/",
    ],
)
def test_a_webhook_that_may_be_reached(url: str) -> None:
    assert refused(parse_url(url)) is None


@pytest.mark.parametrize("name", ["com", "COM.", "co.uk", "uk", "gov.au", "xn--p1ai"])
def test_a_name_under_which_anybody_may_register_is_nobodys(name: str) -> None:
    assert is_public_suffix(name)
    assert errors_of(f"organisation,domains\na,host.example {name}\n") == [(2, "domains")]
    with pytest.raises(ValidationError):
        TypeAdapter(Domain).validate_python(name)


@pytest.mark.parametrize(
    "name", ["example.com", "example.co.uk", "github.io", "a.blogspot.com", "site.test", "192.0.2.1"]
)
def test_a_name_that_somebody_has(name: str) -> None:
    assert not is_public_suffix(name)
    assert errors_of(f"organisation,domains\na,{name}\n") == []


@pytest.mark.parametrize(
    ("header", "column"),
    [
        ("organisation,domains,domains", "domains"),
        ("organisation,organisation,domains", "organisation"),
        ("organisation,domains,posture,name,posture", "posture"),
        ("organisation,domains,webhook_secrets,webhook_secrets,webhook_secrets", "webhook_secrets"),
        ("organisation,domains,bound_by,bound_by", "bound_by"),
    ],
)
def test_a_column_that_is_there_twice(header: str, column: str) -> None:
    assert errors_of(f"{header}\na,host.example\n") == [(1, column)]
