"""What intake is asked, parsed once at the edge. Texts of errors name fields and rules, never a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    PrivateAttr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticKnownError, core_schema

from services.intake.domain.jurisdictions import parse_jurisdiction
from shared.contracts.claims import DeclaredAs, WithdrawalReason
from shared.contracts.content import Assurance
from shared.contracts.event import Moment
from shared.media.fingerprints import PDQ_MAX_DISTANCE, PDQ_MIN_QUALITY, Fingerprint, parse_fingerprint
from shared.pasted_urls import pasted_url
from shared.urls import BadUrl, UrlKey, canonical, is_public_suffix, parse_url

Items = TypeVar("Items", bound=tuple[object, ...])

MAX_SEEN_FINGERPRINTS = 40
"""Fingerprints of one sighting: several algorithms in eight orientations at most matter."""

_NO_DOMAIN = "This must be a domain name, such as example.org, without a scheme, port or path."


def parse_domain(text: str) -> str:
    """A domain name, lower-case punycode. Raises ValueError for an address, a URL or a name with a port."""
    name = text.strip().lower().rstrip(".")
    try:
        parsed = parse_url(f"https://{name}/")
    except BadUrl:
        raise ValueError(_NO_DOMAIN) from None
    if parsed.host_is_address or "." not in parsed.host or parsed.href != f"https://{parsed.host}/":
        raise ValueError(_NO_DOMAIN)
    if is_public_suffix(parsed.host):
        raise ValueError("Anybody may register under this name. Name the domain itself, such as example.org.")
    return parsed.host


def _checked_url(url: str) -> str:
    canonical(url)  # raises BadUrl, a ValueError that names the rule alone
    return url


@dataclass(frozen=True, slots=True)
class KeyedUrl:
    """A URL as it was given, with its key: worked out once."""

    url: str
    key: UrlKey


def _keyed(url: str) -> KeyedUrl:
    return KeyedUrl(url, canonical(url))


def _true(value: bool) -> bool:
    if not value:
        raise ValueError("This must be true: nothing is registered without this declaration.")
    return value


def _some(values: Items) -> Items:
    # Not pydantic's min_length: it counts the good items alone, and so reports a bad one twice.
    if not values:
        raise ValueError("This list must not be empty.")
    return values


def _few(values: object) -> object:
    """Refuse a list that is too long before any item is parsed. pydantic's own `max_length` parses all of them first, and counts the valid
    ones alone."""
    if isinstance(values, list) and len(values) > MAX_SEEN_FINGERPRINTS:
        raise PydanticKnownError(
            "too_long",
            {"field_type": "Tuple", "max_length": MAX_SEEN_FINGERPRINTS, "actual_length": len(values)},
        )
    return values


def _each_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


Domain = Annotated[str, AfterValidator(parse_domain)]
Jurisdiction = Annotated[str, AfterValidator(parse_jurisdiction)]
MediaUrl = Annotated[str, AfterValidator(_checked_url)]
ReportedUrl = Annotated[str, AfterValidator(pasted_url), AfterValidator(_checked_url)]
MediaUrlToKey = Annotated[
    KeyedUrl,
    GetPydanticSchema(lambda _, __: core_schema.no_info_after_validator_function(_keyed, core_schema.str_schema())),
]
DeclaredTrue = Annotated[bool, AfterValidator(_true)]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class Request(BaseModel):
    """A part of a request: frozen, and a field that nobody knows is an error, since it may be misspelt."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _example(shown: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [shown]})


_PDQ = {
    "algorithm": "pdq",
    "value": "f8f8f0cc0f4ed0b1e2b0f0a91e5bcab4c3a7c6b9c0b1f6d3a8c95c6c6cc5f09a",
    "quality": 100,
}


class GivenFingerprint(Request):
    """A fingerprint of claimed content. Refused: malformed, degenerate, of a PDQ quality below 50."""

    algorithm: Literal["pdq", "md5", "sha1", "sha256"]
    value: Annotated[str, StringConstraints(max_length=128)]
    quality: Annotated[int, Field(ge=0, le=100)] | None = None
    origin: Literal["original", "variant"] = "original"
    max_distance: Annotated[int, Field(ge=0, le=PDQ_MAX_DISTANCE)] | None = None
    """PDQ alone: what is further away is published, and not acted on. None: 31 bits."""

    @model_validator(mode="after")
    def _usable(self) -> Self:
        self.parsed()
        if self.max_distance is not None and self.algorithm != "pdq":
            raise ValueError(
                f"Only pdq has a max_distance; leave it out for {self.algorithm}, which must be equal to match."
            )
        return self

    def parsed(self) -> Fingerprint:
        """The fingerprint. Raises BadFingerprint (a ValueError)."""
        return parse_fingerprint(
            self.algorithm, self.value, self.quality, origin=self.origin, min_quality=PDQ_MIN_QUALITY
        )


class SeenFingerprintGiven(Request):
    """A fingerprint of seen media, in its orientation. A low quality is taken: its matches are guarded."""

    algorithm: Literal["pdq", "md5", "sha1", "sha256"]
    value: Annotated[str, StringConstraints(max_length=128)]
    quality: Annotated[int, Field(ge=0, le=100)] | None = None
    orientation: str = "identity"
    _parsed: Fingerprint = PrivateAttr()

    @model_validator(mode="after")
    def _usable(self) -> Self:
        self._parsed = parse_fingerprint(self.algorithm, self.value, self.quality, orientation=self.orientation)
        return self

    def parsed(self) -> Fingerprint:
        """The fingerprint that was given."""
        return self._parsed


class Declaration(Request):
    """What the claimant declares. Every statement must be true; `text_version` names the wording that was read to them."""

    intimate: DeclaredTrue
    non_consensual: DeclaredTrue
    true_and_good_faith: DeclaredTrue
    depicts_minor: Literal["no"]
    synthetic: bool
    declared_as: DeclaredAs
    authority_recorded: DeclaredTrue
    """Whether the helpline has on record that it may act for a person depicted; each demand says so, and so each claim needs it."""
    declared_at: Moment
    text_version: Annotated[str, StringConstraints(min_length=1, max_length=64)]


class ClaimRequest(Request):
    """`POST /v1/claims`."""

    model_config = _example(
        {
            "case_ref": "HL-20260001",
            "fingerprints": [_PDQ],
            "declaration": {
                "intimate": True,
                "non_consensual": True,
                "true_and_good_faith": True,
                "depicts_minor": "no",
                "synthetic": False,
                "declared_as": "subject",
                "authority_recorded": True,
                "declared_at": "2026-03-02T09:10:00Z",
                "text_version": "2026-1",
            },
            "assurance": "viewed",
            "subject_jurisdictions": ["GB-SCT"],
            "do_not_contact": ["host.example"],
        }
    )

    case_ref: Annotated[str, StringConstraints(max_length=64)]
    fingerprints: Annotated[tuple[GivenFingerprint, ...], AfterValidator(_some)]
    declaration: Declaration
    assurance: Assurance
    subject_jurisdictions: Annotated[tuple[Jurisdiction, ...], Field(max_length=20), AfterValidator(_each_once)] = ()
    do_not_contact: Annotated[tuple[Domain, ...], Field(max_length=200), AfterValidator(_each_once)] = ()
    demands_not_before: Moment | None = None
    evidence_wanted: bool = False
    """Whether hosts are asked to preserve what they disable, and the records about it."""


class ConfirmationRequest(Request):
    """`POST /v1/claims/{id}/confirmation`, and the same of variants."""

    model_config = _example({"assurance": "viewed"})

    assurance: Assurance


class WithdrawalRequest(Request):
    """`POST /v1/claims/{id}/withdrawal`."""

    model_config = _example({"reason": "subject_request"})

    reason: WithdrawalReason


class SuspensionRequest(Request):
    """`POST /v1/content/{id}/suspension|resumption`. `possible_minor` is the one reason with consequences of its own."""

    model_config = _example({"reason": "possible_minor"})

    reason: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = "person"


class VariantsRequest(Request):
    """`POST /v1/content/{id}/fingerprints`. `claim_id` None: the organisation's oldest confirmed claim on the content."""

    model_config = _example({"fingerprints": [{**_PDQ, "origin": "variant"}], "assurance": "viewed"})

    fingerprints: Annotated[tuple[GivenFingerprint, ...], AfterValidator(_some)]
    assurance: Assurance
    claim_id: UUID | None = None


class NegativeEntryRequest(Request):
    """`POST /v1/negative-list`. A blank image has a low quality, so none is asked for. `reason`: what it is of, without a URL."""

    model_config = _example(
        {
            "algorithm": "pdq",
            "value": _PDQ["value"],
            "reason": "The placeholder that a large photo host shows for a removed picture.",
        }
    )

    algorithm: Literal["pdq", "md5", "sha1", "sha256"]
    value: Annotated[str, StringConstraints(max_length=128)]
    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=300)]

    @model_validator(mode="after")
    def _usable(self) -> Self:
        self.parsed()
        return self

    def parsed(self) -> Fingerprint:
        """The fingerprint. Raises BadFingerprint (a ValueError)."""
        return parse_fingerprint(self.algorithm, self.value)


class SightingRequest(Request):
    """One sighting of `POST /v1/sightings`."""

    model_config = _example(
        {
            "media_url": "https://host.example/media/1.jpg",
            "page_url": "https://host.example/page/1",
            "seen_at": "2026-03-02T10:59:30Z",
            "source": "crawler-1",
            "fingerprints": [{**_PDQ, "orientation": "identity"}],
        }
    )

    media_url: MediaUrlToKey
    page_url: MediaUrl | None = None
    seen_at: Moment
    source: Word
    fingerprints: Annotated[
        tuple[SeenFingerprintGiven, ...],
        Field(max_length=MAX_SEEN_FINGERPRINTS),
        BeforeValidator(_few),
        AfterValidator(_some),
    ]


class ReportRequest(Request):
    """`POST /v1/reports`. `asserted`: a person looked and says that this URL shows the content."""

    model_config = _example({"url": "https://host.example/page/1", "case_ref": "HL-20260001"})

    url: ReportedUrl
    """Also as people paste it: `hxxps://host[.]example/1.jpg`, or `host.example/1.jpg`, which is taken as https."""
    case_ref: Annotated[str, StringConstraints(max_length=64)] | None = None
    content_id: UUID | None = None
    asserted: bool = False
    fetch: Literal["now", "never"] = "now"

    @model_validator(mode="after")
    def _something_to_do(self) -> Self:
        if self.asserted and self.content_id is None:
            raise ValueError("With asserted, content_id must say which content the URL shows.")
        if self.fetch == "never" and not self.asserted:
            raise ValueError("fetch can be 'never' only together with asserted: otherwise there is nothing to do.")
        return self


def depicts_minor_said(body: Any) -> str | None:
    """Where (a JSON pointer) the body of a claim or a case says anything but `no` to `depicts_minor`; None: nowhere. Missing is a missing
    field, not an answer."""
    declaration = body.get("declaration") if isinstance(body, dict) else None
    for where, part in (("/declaration/depicts_minor", declaration), ("/depicts_minor", body)):
        if isinstance(part, dict) and "depicts_minor" in part and part["depicts_minor"] != "no":
            return where
    return None
