"""Signature parameters of URLs: what one file's links carry that is another at each visit, and that does not name the file.

A set is dropped from a key only as a whole, each of its required parameters once, and only on a host that is listed with it: `Signature`
or `sig` alone may be what another site names its pictures by. What picks another rendition (`width`, `versionId`) is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSet:
    """`hosts` with all under them. `required`: all of them or the set is not there; `optional` go with it. Names are as the signer
    writes them, case and all. `source`: where they are documented or, of who documents nothing, described from what was seen."""

    name: str
    hosts: tuple[str, ...]
    required: frozenset[str]
    source: str
    optional: frozenset[str] = frozenset()


_S3_COMPATIBLE = (
    "amazonaws.com",
    "r2.cloudflarestorage.com",  # developers.cloudflare.com/r2/api/s3/presigned-urls
    "backblazeb2.com",
    "digitaloceanspaces.com",
    "wasabisys.com",
    "aliyuncs.com",  # help.aliyun.com/en/oss/user-guide/0002-00000416
    "storage.googleapis.com",
)

SIGNATURE_SETS: Final = (
    SignatureSet(
        name="amazon s3, version 4",
        hosts=_S3_COMPATIBLE,
        required=frozenset(
            (
                "X-Amz-Algorithm",
                "X-Amz-Credential",
                "X-Amz-Date",
                "X-Amz-Expires",
                "X-Amz-SignedHeaders",
                "X-Amz-Signature",
            )
        ),
        optional=frozenset(("X-Amz-Security-Token", "X-Amz-Content-Sha256")),
        source="https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html",
    ),
    SignatureSet(
        name="amazon s3, version 2",
        hosts=_S3_COMPATIBLE,
        required=frozenset(("AWSAccessKeyId", "Expires", "Signature")),
        optional=frozenset(("x-amz-security-token",)),
        source="https://docs.aws.amazon.com/AmazonS3/latest/userguide/RESTAuthentication.html",
    ),
    SignatureSet(
        name="google cloud storage, version 4",
        hosts=("storage.googleapis.com",),
        required=frozenset(
            (
                "X-Goog-Algorithm",
                "X-Goog-Credential",
                "X-Goog-Date",
                "X-Goog-Expires",
                "X-Goog-SignedHeaders",
                "X-Goog-Signature",
            )
        ),
        source="https://docs.cloud.google.com/storage/docs/authentication/canonical-requests",
    ),
    SignatureSet(
        name="google cloud storage, version 2",
        hosts=("storage.googleapis.com",),
        required=frozenset(("GoogleAccessId", "Expires", "Signature")),
        source="https://docs.cloud.google.com/storage/docs/access-control/signed-urls-v2",
    ),
    SignatureSet(
        name="azure storage, of a service or a user's delegation",
        hosts=(
            "blob.core.windows.net",
            "dfs.core.windows.net",
            "file.core.windows.net",
            "blob.core.chinacloudapi.cn",
            "blob.core.usgovcloudapi.net",
        ),
        required=frozenset(("sv", "sr", "sp", "se", "sig")),
        optional=frozenset(
            ("st", "spr", "sip", "ses", "sdd", "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid")
        ),
        source="https://learn.microsoft.com/en-us/rest/api/storageservices/create-user-delegation-sas",
    ),
    SignatureSet(
        name="azure storage, by a stored policy",
        hosts=("blob.core.windows.net", "file.core.windows.net"),
        required=frozenset(("sv", "sr", "si", "sig")),
        optional=frozenset(("st", "se", "sp", "spr", "sip", "ses")),
        source="https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas",
    ),
    SignatureSet(
        name="azure storage, of an account",
        hosts=("blob.core.windows.net", "dfs.core.windows.net", "file.core.windows.net"),
        required=frozenset(("sv", "ss", "srt", "sp", "se", "sig")),
        optional=frozenset(("st", "spr", "sip", "ses")),
        source="https://learn.microsoft.com/en-us/rest/api/storageservices/create-account-sas",
    ),
    SignatureSet(
        name="alibaba oss, version 1",
        hosts=("aliyuncs.com",),
        required=frozenset(("OSSAccessKeyId", "Expires", "Signature")),
        optional=frozenset(("security-token",)),
        source="https://help.aliyun.com/en/oss/developer-reference/ddd-signatures-to-urls",
    ),
    SignatureSet(
        name="alibaba oss, version 4",
        hosts=("aliyuncs.com",),
        required=frozenset(
            ("x-oss-signature-version", "x-oss-credential", "x-oss-date", "x-oss-expires", "x-oss-signature")
        ),
        optional=frozenset(("x-oss-additional-headers", "x-oss-security-token")),
        source="https://help.aliyun.com/en/oss/developer-reference/add-signatures-to-urls",
    ),
    SignatureSet(
        name="tencent cos",
        hosts=("myqcloud.com",),
        required=frozenset(
            (
                "q-sign-algorithm",
                "q-ak",
                "q-sign-time",
                "q-key-time",
                "q-header-list",
                "q-url-param-list",
                "q-signature",
            )
        ),
        optional=frozenset(("x-cos-security-token",)),
        source="https://www.tencentcloud.com/document/product/436/7778",
    ),
    SignatureSet(
        name="discord",
        hosts=("cdn.discordapp.com", "media.discordapp.net"),
        required=frozenset(("ex", "is", "hm")),
        source="https://docs.discord.com/developers/reference#signed-attachment-cdn-urls",
    ),
    SignatureSet(
        name="instagram and facebook",
        hosts=("cdninstagram.com", "fbcdn.net"),
        required=frozenset(("oh", "oe")),
        optional=frozenset(("_nc_ohc", "_nc_oc", "_nc_gid")),
        source="https://instayolo.com/blog/instagram-cdn-url-signature-anatomy",
    ),
    SignatureSet(
        name="tiktok",
        hosts=("tiktokcdn.com", "tiktokcdn-us.com", "douyinpic.com"),
        required=frozenset(("x-expires", "x-signature")),
        source="https://github.com/davidteather/TikTok-Api/issues/516",
    ),
)


def _by_host() -> Mapping[str, tuple[SignatureSet, ...]]:
    hosts = {host for one in SIGNATURE_SETS for host in one.hosts}
    return {host: tuple(one for one in SIGNATURE_SETS if host in one.hosts) for host in hosts}


_BY_HOST: Final = _by_host()


def without_signature(url: str, host: str) -> str | None:
    """The URL (serialised, without a fragment) with no signature parameter; None: its host is not listed. Idempotent.

    The order of what is left is kept; what is left empty is left out (`?`, `&&`).
    """
    sets = _sets_of(host)
    if not sets:
        return None
    address, _, query = url.partition("?")
    fields = [field for field in query.split("&") if field]
    for one in sets:
        times = Counter(_name(field) for field in fields)
        if all(times[name] == 1 for name in one.required):
            fields = [field for field in fields if _name(field) not in one.required | one.optional]
    return f"{address}?{'&'.join(fields)}" if fields else address


def _sets_of(host: str) -> tuple[SignatureSet, ...]:
    """Those of the host and of every domain above it that is listed; hardly any host has one."""
    found = _BY_HOST.get(host, ())
    at = host.find(".")
    while at >= 0:
        found += _BY_HOST.get(host[at + 1 :], ())
        at = host.find(".", at + 1)
    return found


def _name(field: str) -> str:
    return field.partition("=")[0]
