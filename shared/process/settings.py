"""Settings: `TAKEDOWN_*` variables over an optional TOML file (`TAKEDOWN_CONFIG`). An unknown or bad one stops the start."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from shared.errors import BadSettings
from shared.field_errors import NOT_JSON, field_errors
from shared.policy import Policy
from shared.urls import parse_url

PREFIX = "TAKEDOWN_"


def default_data_dir() -> Path:
    """`$XDG_DATA_HOME/takedown`; as root `/var/lib/takedown`."""
    if os.geteuid() == 0:
        return Path("/var/lib/takedown")
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "takedown"


def _base_url(text: str) -> str:
    parsed = parse_url(text)  # raises BadUrl, a ValueError
    if "?" in parsed.href or "#" in text:
        raise ValueError(
            "This address must have no query (?) and no fragment (#): links are made by adding a path to it."
        )
    return text


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"This must be a regular expression: {error}.") from None
    return text


def _key(text: str) -> str:
    if re.search(r"[^!-~]", text):
        raise ValueError("A key is a single word that begins with tdk_. Copy it whole, without spaces.")
    return text


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Settings(BaseSettings):
    """Every setting, its unit and the reason of its default. None means: not used."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True)

    data_dir: Path = Field(default_factory=default_data_dir)
    database: str | None = None
    """libpq connection string; None: the embedded PostgreSQL under `data_dir`."""
    log: Literal["postgres", "kafka"] = "postgres"
    kafka_bootstrap_servers: str | None = None
    """host:port[,host:port]; needed where `log` is `kafka`."""
    kafka_tls: bool = False
    """Whether the brokers are spoken to by TLS."""
    kafka_ca_file: Path | None = None
    """PEM file of who signs the brokers' certificates; None: whom the system trusts."""
    kafka_cert_file: Path | None = None
    """PEM file of our own certificate, where the brokers ask for one; None: none is shown."""
    kafka_key_file: Path | None = None
    """PEM file of its key, without a password; None: it stands in `kafka_cert_file`."""
    kafka_sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """How `kafka_username` and `kafka_password` are shown to the brokers; None: they are not asked for."""
    kafka_username: str | None = None
    kafka_password: str | None = None
    root_key: str | None = None
    """32 bytes as hex or base64; None: `root.key` in `data_dir` (created by `serve`, mode 0600)."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """0: any that is free. None: 8400 for `serve`, 8401 intake, 8402 matcher, 8403 notifier, 8404 console."""
    public_url: BaseUrl | None = None
    """Base of capability links (`/host/d/{token}`); None: outbound stays off."""
    trusted_hosts: tuple[str, ...] = ()
    """Names that the HTTP face answers for beside the public address's; addresses, `localhost` and names without a dot always pass."""
    organisation_name: str = "Takedown helpline"
    organisation_contact: str = "contact@localhost"
    organisation_complaints: str = "complaints@localhost"
    case_ref_pattern: Annotated[str, AfterValidator(_pattern)] = r"^[A-Z]{2,6}-[0-9]{4,12}$"
    vantage: str = "default"
    """Where our checks look from; a word for the operations staff, in every check."""
    member: str = "0"
    """Names this process within its groups (static membership). Two processes of one service need different ones."""
    fetch_user_agent: str = "Mozilla/5.0 (compatible; fetch/1.0)"
    """For fetches and checks. Does not name the product: it would warn an uploader."""
    browser: str | None = None
    """Chromium, for looks as a browser has them: its whole path, or `off`. None: found by itself, if there is one."""
    browser_sandbox: Literal["on", "off"] = "on"
    """`off`: a page that breaks into Chromium has its account. Only where the kernel gives no user namespaces; the start says so."""
    webhook_user_agent: str = "takedown-demands/1"
    smtp_host: str | None = None
    """None: no e-mail is sent; a recipient with an e-mail address alone gets a task."""
    smtp_port: Port | None = None
    """None: 587, or 465 where `smtp_tls` is `implicit`."""
    smtp_tls: Literal["starttls", "implicit", "none"] = "starttls"
    """`implicit`: TLS from the first byte (RFC 8314). `none`: in the clear, for a server on this machine."""
    smtp_username: str | None = None
    smtp_password: str | None = None
    smtp_from: str = "demands@localhost"
    reviewed_by: str | None = None
    """Who reviewed the text of `uk_osa_20a`; None: that regime is not used."""
    outbound_allow: tuple[str, ...] = ()
    """Exact `ip:port` pairs that pass the address guard although they are not public (demo, tests)."""
    static_hosts: dict[str, str] = Field(default_factory=dict)
    """name -> `ip:port`, before DNS; refused outside demo and tests (`allow_static_hosts`)."""
    allow_static_hosts: bool = False
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    policy: Policy = Field(default_factory=Policy)
    config: Path | None = None
    """The TOML file these came from."""

    # The clients of the command line
    intake_url: BaseUrl = "http://127.0.0.1:8400"
    notifier_url: BaseUrl = "http://127.0.0.1:8400"
    key: Annotated[str, AfterValidator(_key)] | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """The settings of this process. Raises BadSettings with one line that names the first unusable one."""
    environ = os.environ if environ is None else environ
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not name.startswith(PREFIX + "TEST_"):
            raise BadSettings(f"{name} is not a setting. Check its spelling, or unset it.")
    values: dict[str, Any] = {}
    path = environ.get(PREFIX + "CONFIG")
    if path:
        try:
            values = tomllib.loads(Path(path).read_text())
        except OSError as error:
            raise BadSettings(f"{PREFIX}CONFIG names {path}, which cannot be read: {error.strerror}.") from None
        except ValueError as error:  # no TOML, or not UTF-8
            raise BadSettings(f"{PREFIX}CONFIG names {path}, which is not a TOML file: {error}.") from None
    in_file = frozenset(values) - {name for name in values if PREFIX + name.upper() in environ} - frozenset(overrides)
    values.update(overrides)
    try:
        return Settings(**values)
    except ValidationError as error:
        first = field_errors(error)[0]
        head, *rest = [str(part) for part in first.location] or [""]
        where = f"{path}: {head}" if head in in_file else f"{PREFIX}{head.upper()}"
        where = f"{where}{'.' if head in in_file else ': '}{'.'.join(rest)}" if rest else where
        if first.kind == "extra_forbidden":
            raise BadSettings(f"{where} is not a setting. Check its spelling, or remove it.") from None
        raise BadSettings(f"{where}: {first.text}") from None
    except SettingsError as error:  # its text, which alone says which, names the field
        field = re.search(r'field "(\w+)"', str(error))
        raise BadSettings(f"{PREFIX}{field[1].upper() if field else '…'}: {NOT_JSON}") from None
