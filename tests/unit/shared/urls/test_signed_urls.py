"""One file under ever new signatures has one key; whatever may name another file keeps it apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.signed_urls import SIGNATURE_SETS, SignatureSet
from shared.urls import address_key, canonical, url_keys

AMZ = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIA{n}%2F20261130%2Fus-east-1%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261130T00000{n}Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=fe5f80f7{n}"
)
GOOG = (
    "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a%40b.test%2F{n}&X-Goog-Date=20261130T00000{n}Z"
    "&X-Goog-Expires=900&X-Goog-SignedHeaders=host&X-Goog-Signature=78a{n}"
)
DELEGATED = (
    "sv=2024-11-04&sr=b&sp=r&se=2026-12-0{n}T00%3A00Z&st=2026-11-30&spr=https&skoid=a{n}&sktid=b&skt=c&ske=d&sks=b"
    "&skv=e&sig=x%2B{n}%3D"
)
COS = "q-sign-algorithm=sha1&q-ak=AK{n}&q-sign-time=1;{n}&q-key-time=1;{n}&q-header-list=host&q-url-param-list=&q-signature=a{n}"
OSS4 = "x-oss-signature-version=OSS4-HMAC-SHA256&x-oss-credential=a{n}&x-oss-date=b{n}&x-oss-expires=9&x-oss-signature=c{n}"
SIGNED = {
    "amazon s3, version 4": [
        f"https://s3.eu-west-1.amazonaws.com/b/a.jpg?{AMZ}",
        f"https://b.s3.amazonaws.com/a.jpg?{AMZ}&X-Amz-Security-Token=t{{n}}",
    ],
    "amazon s3, version 2": [
        "https://b.s3.amazonaws.com/a.jpg?AWSAccessKeyId=AK{n}&Expires=179000000{n}&Signature=vjby{n}%3D"
    ],
    "google cloud storage, version 4": [
        f"https://storage.googleapis.com/b/a.jpg?{GOOG}",
        f"https://b.storage.googleapis.com/a.jpg?{GOOG}",
    ],
    "google cloud storage, version 2": [
        "https://storage.googleapis.com/b/a.jpg?GoogleAccessId=a%40b&Expires=1{n}&Signature=s{n}"
    ],
    "azure storage, of a service or a user's delegation": [f"https://acc.blob.core.windows.net/c/a.jpg?{DELEGATED}"],
    "azure storage, by a stored policy": [
        "https://acc.blob.core.windows.net/c/a.jpg?sv=2024&sr=c&si=readers{n}&sig=z{n}"
    ],
    "azure storage, of an account": [
        "https://acc.file.core.windows.net/c/a.jpg?sv=2024&ss=bf&srt=sco&sp=rl&se=2026-12-0{n}&sig=z{n}"
    ],
    "alibaba oss, version 1": [
        "https://b.oss-cn-hangzhou.aliyuncs.com/a.jpg?OSSAccessKeyId=nz{n}&Expires=114188912{n}&Signature=vj{n}"
    ],
    "alibaba oss, version 4": [f"https://b.oss-cn-hangzhou.aliyuncs.com/a.jpg?{OSS4}"],
    "tencent cos": [f"https://b-125.cos.ap-guangzhou.myqcloud.com/a.jpg?{COS}&x-cos-security-token=t{{n}}"],
    "discord": [
        "https://cdn.discordapp.com/attachments/1/2/a.jpg?ex=66ab{n}&is=66aa{n}&hm=0f{n}&",
        "https://media.discordapp.net/attachments/1/2/a.jpg?ex=66ab{n}&is=66aa{n}&hm=0f{n}",
    ],
    "instagram and facebook": [
        "https://scontent-lhr8-1.cdninstagram.com/v/t51/a.jpg?_nc_ohc=D{n}&_nc_gid=I{n}&oh=00_Af{n}&oe=69EFEA0{n}",
        "https://scontent.xx.fbcdn.net/v/a.jpg?_nc_oc=A{n}&oh=00_A{n}&oe=6{n}",
    ],
    "tiktok": ["https://p16-sign-va.tiktokcdn.com/obj/tos/a?x-expires=16079832{n}&x-signature=Jilk{n}%3D"],
}
LINES = [(name, url) for name, urls in SIGNED.items() for url in urls]


def test_every_line_of_the_table_is_tried() -> None:
    assert set(SIGNED) == {one.name for one in SIGNATURE_SETS}
    assert all(re.match(r"https://[a-z.]+/", one.source) for one in SIGNATURE_SETS)


@pytest.mark.parametrize(("name", "url"), LINES)
def test_one_file_under_two_signatures_and_under_none_is_one(name: str, url: str) -> None:
    one, other, bare = url.format(n=1), url.format(n=2), url.partition("?")[0]
    assert canonical(one) == canonical(other) == canonical(bare)
    assert canonical(one).key_version == 2
    assert canonical(one).url_key == bare
    assert canonical(canonical(one).url_key) == canonical(one)
    assert address_key(one).url_key != address_key(other).url_key
    assert address_key(one).key_version == 1


@pytest.mark.parametrize(("name", "url"), LINES)
def test_a_set_that_is_not_whole_is_kept(name: str, url: str) -> None:
    """Each parameter that is required, left out: no signature then."""
    signature = next(one for one in SIGNATURE_SETS if one.name == name)
    address, _, query = url.format(n=1).partition("?")
    fields = [field for field in query.split("&") if field]
    others = [one for one in SIGNATURE_SETS if one is not signature and _fits(one, fields)]
    for left_out in signature.required if not others else ():
        cut = [field for field in fields if field.partition("=")[0] != left_out]
        assert canonical(f"{address}?{'&'.join(cut)}").url_key == address_key(f"{address}?{'&'.join(cut)}").url_key
    twice = f"{address}?{'&'.join([*fields, *fields])}"
    assert canonical(twice).url_key == address_key(twice).url_key


def _fits(one: SignatureSet, fields: list[str]) -> bool:
    return one.required <= {field.partition("=")[0] for field in fields}


@pytest.mark.parametrize(("name", "url"), LINES)
def test_on_a_host_that_is_not_listed_nothing_is_left_out(name: str, url: str) -> None:
    for host in ("img.site.test", "evil-cdn.discordapp.com.site.test", "notamazonaws.com"):
        elsewhere = re.sub(r"(?<=//)[^/]+", host, url.format(n=1))
        assert canonical(elsewhere) == address_key(elsewhere)


@pytest.mark.parametrize(("name", "url"), LINES)
def test_what_may_name_another_file_is_kept_in_its_order(name: str, url: str) -> None:
    signed = url.format(n=1)
    address, _, query = signed.partition("?")
    for before, after in (
        ("width=64", "height=64"),
        ("versionId=3", "x=1&x=2"),
        ("response-content-type=image%2Fpng", "z"),
    ):
        key = canonical(f"{address}?{before}&{query.removesuffix('&')}&{after}").url_key
        assert key == f"{address}?{before}&{after}"


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://cdn.discordapp.com/a/2.png?", "https://cdn.discordapp.com/a/2.png"),
        ("https://CDN.discordapp.com:443/a/2.png?ex=1&is=2&hm=3#t=4", "https://cdn.discordapp.com/a/2.png"),
        ("https://cdn.discordapp.com/a/2.png?%65x=1&is=2&hm=3", "https://cdn.discordapp.com/a/2.png"),
        ("https://cdn.discordapp.com/a/2.png?EX=1&is=2&hm=3", "https://cdn.discordapp.com/a/2.png?EX=1&is=2&hm=3"),
        ("https://discordapp.com/a/2.png?ex=1&is=2&hm=3", "https://discordapp.com/a/2.png?ex=1&is=2&hm=3"),
        ("https://site.test/#/x", "https://site.test/#/x"),
        ("https://SITE.test/app#!x%7e?a=%2f", "https://site.test/app#!x~?a=%2F"),
        ("https://site.test./#/é", "https://site.test/#/%C3%A9"),
        ("https://site.test/#", "https://site.test/"),
        ("https://site.test/#top", "https://site.test/"),
        ("https://site.test/a.mp4#t=10,20", "https://site.test/a.mp4"),
        ("https://site.test/#%2Fx", "https://site.test/"),
    ],
)
def test_the_key(url: str, key: str) -> None:
    assert canonical(url).url_key == key
    assert canonical(key) == canonical(url)


def test_every_key_that_a_url_ever_had() -> None:
    plain = "https://site.test/a.jpg?sig=1"
    assert url_keys(plain) == (address_key(plain),)
    route = url_keys("https://site.test/#/x")
    assert [(one.url_key, one.key_version) for one in route] == [
        ("https://site.test/#/x", 2),
        ("https://site.test/", 1),
    ]
    unsigned = url_keys("https://cdn.discordapp.com/a")
    assert [one.key_version for one in unsigned] == [2, 1]


names = st.sampled_from(
    sorted({name for one in SIGNATURE_SETS for name in one.required | one.optional} | {"x", "", "%65x"})
)
queries = st.lists(st.builds("{}{}".format, names, st.sampled_from(["", "=", "=1", "=%2f", "=a=b"])), max_size=9).map(
    "&".join
)


@given(
    st.sampled_from(sorted({host for one in SIGNATURE_SETS for host in one.hosts})),
    queries,
    st.sampled_from(["", "#", "#/a", "#!%7e%", "#/%2f %"]),
)
def test_a_key_of_a_key_is_itself(host: str, query: str, fragment: str) -> None:
    key = canonical(f"https://x.{host}/a?{query}{fragment}")
    assert canonical(key.url_key) == key
    assert key.url_key.isascii()
    assert key.key_version == 2


@pytest.mark.parametrize(
    "url",
    [
        "https://d111.cloudfront.net/a?Expires=1&Signature={n}&Key-Pair-Id=K2",
        "https://evil.b-cdn.net/p?token={n}&expires=1",
    ],
)
def test_where_an_origin_of_somebodys_own_sees_the_query_it_stays(url: str) -> None:
    """There `token=cat` and `token=dog` may be two pictures."""
    assert canonical(url.format(n="cat")).url_key != canonical(url.format(n="dog")).url_key
