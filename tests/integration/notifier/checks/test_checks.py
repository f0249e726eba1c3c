"""What a look at a target says: over real HTTP, with real pictures."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from aiohttp import web
from PIL import Image, ImageOps

from services.notifier.checks.checker import Checker
from services.notifier.checks.seen import Looked, Wanted
from services.notifier.domain.model import Outcome
from shared.clock import system_clock
from shared.contracts.content import Assurance, RegisteredFingerprint
from shared.media.fingerprinter import Fingerprinter, MediaFingerprints, Priority
from shared.media.fingerprints import Algorithm, Fingerprint, fingerprint_ref, hamming
from shared.outbound.fetch import Fetcher
from shared.outbound.guard import AddressGuard
from shared.policy import Policy
from shared.urls import canonical
from tests.integration.shared.test_media_views import forged_jpeg
from tests.notifier_world import Host, picture
from tests.one_host import one_host

KEY = b"k" * 32
POLICY = Policy(fetch_timeout_seconds=3.0)


class Site:
    """One host and a checker that looks at it."""

    def __init__(self, host: Host, checker: Checker, fingerprinter: Fingerprinter) -> None:
        self.host = host
        self.checker = checker
        self.fingerprinter = fingerprinter

    async def register(
        self, body: bytes, *, assurance: Assurance = Assurance.VIEWED
    ) -> tuple[RegisteredFingerprint, ...]:
        """The fingerprints of a picture as the register has them: of its own orientation."""
        return tuple(
            RegisteredFingerprint(
                algorithm=one.algorithm.value, value=one.hex, quality=one.quality, assurance=assurance
            )
            for one in (await self.fingerprinter.fingerprint(body)).fingerprints()
            if one.orientation == "identity"
        )

    async def look(self, path: str, register: tuple[RegisteredFingerprint, ...], **fields: object) -> Looked:
        url = self.host.url(path) if path.startswith("/") else path
        wanted = {
            "takedown_id": uuid4(),
            "target_kind": "media",
            "url": url,
            "url_key": canonical(url).url_key,
            "page_url": None,
            "register": register,
        } | fields
        return await self.checker.look(Wanted(**wanted))  # type: ignore[arg-type]  # fields of a Wanted, by name


@asynccontextmanager
async def open_site() -> AsyncIterator[Site]:
    async with (
        one_host("127.0.1.99") as (host, guard),
        Fetcher(guard, user_agent="test") as fetcher,
        Fingerprinter(workers=1) as fingerprinter,
    ):
        yield Site(host, Checker(fetcher, fingerprinter, POLICY, system_clock, fingerprint_key=KEY), fingerprinter)


def encoded(body: bytes, kind: str, *, mirrored: bool = False, size: tuple[int, int] | None = None) -> bytes:
    image = Image.open(io.BytesIO(body)).convert("RGB")
    image = ImageOps.mirror(image) if mirrored else image
    image = image.resize(size) if size else image
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=80)
    return buffer.getvalue()


async def test_copies_are_seen() -> None:
    async with open_site() as site:
        original = picture(1)
        register = await site.register(original)
        pdq_only = tuple(one for one in register if one.algorithm == "pdq")
        copies = {
            "/same.png": original,
            "/again.jpg": encoded(original, "JPEG"),
            "/small.webp": encoded(original, "WEBP", size=(200, 150)),
            "/mirrored.jpg": encoded(original, "JPEG", mirrored=True),
        }
        for path, body in copies.items():
            site.host.show(path, body, content_type="application/octet-stream")
            looked = await site.look(path, register)
            assert looked.media.outcome is Outcome.PRESENT, path
            assert looked.media.agreement is not None
            exact = path == "/same.png"
            assert (looked.media.agreement.distance == 0) >= exact
            assert (looked.media.agreement.algorithm != "pdq") == exact, "an exact agreement weighs more"
            assert (await site.look(path, pdq_only)).media.outcome is Outcome.PRESENT, path
        observed = looked.media.observed
        assert observed is not None
        assert (observed.ip, observed.port, observed.status) == (site.host.address, site.host.port, 200)
        assert observed.size_bytes == len(copies["/mirrored.jpg"])


@pytest.mark.parametrize("turn", list(Image.Transpose))
async def test_turned_copies_are_seen(turn: Image.Transpose) -> None:
    async with open_site() as site:
        register = await site.register(picture(1))
        image = Image.open(io.BytesIO(picture(1))).convert("RGB").transpose(turn)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=70)
        site.host.show("/x.jpg", buffer.getvalue())
        looked = await site.look("/x.jpg", tuple(one for one in register if one.algorithm == "pdq"))
        assert looked.media.outcome is Outcome.PRESENT
        assert looked.media.agreement is not None
        assert looked.media.agreement.distance <= 10


async def test_a_picture_that_was_seen_before_is_looked_at_smaller_and_never_missed_for_it() -> None:
    async with open_site() as site:
        large, forged = encoded(picture(1), "JPEG", size=(1600, 1200)), forged_jpeg()
        register = tuple(one for one in await site.register(large) if one.algorithm == "pdq")
        site.host.show("/large.jpg", large)
        site.host.show("/forged.jpg", forged)
        site.host.show("/other.jpg", encoded(picture(2), "JPEG", size=(1600, 1200)))
        asked: list[bool] = []
        fingerprint = site.fingerprinter.fingerprint

        async def listening(
            body: bytes, *, reduced: bool = False, parts: bool = False, priority: Priority = Priority.CHECK
        ) -> MediaFingerprints:
            asked.append(reduced)
            return await fingerprint(body, reduced=reduced, parts=parts, priority=priority)

        site.fingerprinter.fingerprint = listening  # type: ignore[method-assign]  # to hear at which scale it is asked
        cases: list[tuple[str, dict[str, object], list[bool], Outcome]] = [
            ("/large.jpg", {}, [False], Outcome.PRESENT),
            ("/large.jpg", {"seen_before": True}, [True], Outcome.PRESENT),
            ("/large.jpg", {"seen_before": True, "rejected": frozenset({"r"})}, [False], Outcome.PRESENT),
            # Once more as from the site's own page: a placeholder may be for who comes from elsewhere.
            ("/other.jpg", {"seen_before": True}, [True, False, True, False], Outcome.MISMATCH),
        ]
        for path, fields, scales, outcome in cases:
            asked.clear()
            looked = await site.look(path, register, **fields)
            assert (looked.media.outcome, asked) == (outcome, scales), (path, fields)
        near = tuple(one.model_copy(update={"max_distance": 4}) for one in register)
        asked.clear()
        assert (await site.look("/large.jpg", near, seen_before=True)).media.outcome is Outcome.PRESENT
        assert asked == [True, False], "a threshold is near"
        # At full scale it is the registered picture, at a smaller one another.
        register = tuple(one for one in await site.register(forged) if one.algorithm == "pdq")
        for seen_before in (False, True):
            looked = await site.look("/forged.jpg", register, seen_before=seen_before)
            assert looked.media.outcome is Outcome.PRESENT


async def test_a_replacement_that_was_not_wholly_seen_is_no_removal() -> None:
    async with open_site() as site:
        register = await site.register(picture(1))
        frames = [Image.new("RGB", (64, 64), (number, 0, 0)) for number in range(120)]
        buffer = io.BytesIO()
        frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:])
        site.host.show("/long.gif", buffer.getvalue())
        looked = await site.look("/long.gif", register)
        assert (looked.media.outcome, looked.media.reason) == (Outcome.INCONCLUSIVE, "views_unseen")
        page = site.host.show("/page", b"<html><img src='/long.gif'></html>", content_type="text/html")
        site.host.remove("/x.png", 404)
        looked = await site.look("/x.png", register, page_url=page)
        assert looked.page is not None
        assert looked.page.outcome is Outcome.INCONCLUSIVE, "one of its frames may be what is looked for, there too"


async def test_who_rejected_a_picture_rejected_it_turned_as_well() -> None:
    """A nearly symmetric picture agrees mirrored too."""
    async with open_site() as site:
        half = Image.open(io.BytesIO(picture(1))).convert("RGB")
        both = Image.new("RGB", (2 * half.width, half.height))
        both.paste(half, (0, 0))
        other = Image.open(io.BytesIO(picture(2))).convert("RGB")
        both.paste(Image.blend(ImageOps.mirror(half), other, 0.02), (half.width, 0))
        buffer = io.BytesIO()
        both.save(buffer, "PNG")
        site.host.show("/x.png", buffer.getvalue())
        (of_picture,) = (one for one in await site.register(buffer.getvalue()) if one.algorithm == "pdq")
        value = bytes.fromhex(of_picture.value)
        media = await site.fingerprinter.fingerprint(buffer.getvalue())
        turned = [one for one in media.fingerprints() if one.value != value and one.algorithm is Algorithm.PDQ]
        assert min(hamming(one.value, value) for one in turned) <= 31
        refs = frozenset({fingerprint_ref(KEY, Fingerprint(algorithm=Algorithm.PDQ, value=value))})
        assert (await site.look("/x.png", (of_picture,))).media.outcome is Outcome.PRESENT
        assert (await site.look("/x.png", (of_picture,), rejected=refs)).media.outcome is Outcome.MISMATCH


async def test_what_is_not_there() -> None:
    async with open_site() as site:
        register = await site.register(picture(1))
        host = site.host
        host.show("/swapped.png", picture(2))
        host.show("/blank.png", encoded(picture(1), "PNG", size=(1, 1)))
        host.show("/soft404", b"<html><body>not found</body></html>", content_type="text/html")
        host.show("/empty", b"", content_type="image/png")
        for status in (404, 410, 401, 403, 451, 429, 500, 503):
            host.remove(f"/{status}", status)
        host.show("/heic", b"\x00\x00\x00\x18ftypheic" + b"\x00" * 200)
        host.show("/broken.png", picture(1)[:60])

        async def slow(_: web.Request) -> web.StreamResponse:
            await asyncio.sleep(30)
            return web.Response()

        async def inward(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"location": "http://127.0.0.1:22/"})

        host.media["/slow"] = slow
        host.media["/inward"] = inward
        expected = {
            "/swapped.png": Outcome.MISMATCH,
            "/blank.png": Outcome.MISMATCH,
            # A page that answers is no sign that the medium is gone, nor is an answer without anything.
            "/soft404": Outcome.INCONCLUSIVE,
            "/empty": Outcome.INCONCLUSIVE,
            "/404": Outcome.GONE,
            "/410": Outcome.GONE,
            "/401": Outcome.BLOCKED,
            "/403": Outcome.BLOCKED,
            "/451": Outcome.BLOCKED,
            "/429": Outcome.INCONCLUSIVE,
            "/500": Outcome.INCONCLUSIVE,
            "/503": Outcome.INCONCLUSIVE,
            "/slow": Outcome.INCONCLUSIVE,
            "/inward": Outcome.INCONCLUSIVE,
            # What we cannot decode was not seen: it must not pass for a removal.
            "/heic": Outcome.INCONCLUSIVE,
            "/broken.png": Outcome.INCONCLUSIVE,
        }
        seen = {path: (await site.look(path, register)).media.outcome for path in expected}
        assert seen == expected
        nobody = (await site.look("http://127.0.1.98:9/x.png", register)).media
        assert nobody.outcome is Outcome.INCONCLUSIVE
        assert nobody.reason == "address_refused"


async def test_nothing_answers_is_told_from_no_answer() -> None:
    async with open_site() as site:
        closed = f"{site.host.address}:1"
        guard = AddressGuard.of((closed,), {"closed.test": closed}, allow_static_hosts=True)
        async with Fetcher(guard, user_agent="test") as fetcher:
            checker = Checker(fetcher, site.fingerprinter, POLICY, system_clock, fingerprint_key=KEY)
            site.checker = checker
            seen = (await site.look("http://closed.test/x.png", ())).media
            assert (seen.outcome, seen.reason) == (Outcome.INCONCLUSIVE, "connect_failure")


async def test_a_video_is_known_by_its_exact_hash_alone() -> None:
    async with open_site() as site:
        video = b"\x00\x00\x00\x18ftypmp42" + bytes(range(256)) * 20
        known = RegisteredFingerprint(
            algorithm="sha256", value=hashlib.sha256(video).hexdigest(), assurance=Assurance.PARTNER
        )
        site.host.show("/v.mp4", video, content_type="video/mp4")
        looked = await site.look("/v.mp4", (known,))
        assert looked.media.outcome is Outcome.PRESENT
        assert looked.media.agreement is not None
        assert looked.media.agreement.assurance is Assurance.PARTNER


async def test_a_rejected_agreement_is_none() -> None:
    async with open_site() as site:
        body = picture(1)
        register = await site.register(body)
        site.host.show("/x.png", body)
        refs = frozenset(
            fingerprint_ref(KEY, Fingerprint(algorithm=Algorithm(one.algorithm), value=bytes.fromhex(one.value)))
            for one in register
        )
        assert (await site.look("/x.png", register)).media.outcome is Outcome.PRESENT
        assert (await site.look("/x.png", register, rejected=refs)).media.outcome is Outcome.MISMATCH


@pytest.mark.parametrize(("on_page", "outcome"), [(1, Outcome.PRESENT), (2, Outcome.MISMATCH)])
async def test_the_page_is_looked_at_when_the_medium_is_gone(on_page: int, outcome: Outcome) -> None:
    async with open_site() as site:
        register = await site.register(picture(1))
        host = site.host
        host.show("/other/name.png", picture(on_page))
        html = (
            b"<html><img src='x.png'><img src='/other/name.png'><img src='data:image/png;base64,AA'>"
            b"<img src='/logo.svg'><img src='http://127.0.0.1/pixel.gif'></html>"
        )
        host.show("/logo.svg", b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", content_type="image/svg+xml")
        page = host.show("/page", html, content_type="text/html; charset=utf-8".partition(";")[0])
        host.remove("/x.png", 404)
        looked = await site.look("/x.png", register, page_url=page)
        assert looked.media.outcome is Outcome.GONE
        assert looked.page is not None
        assert looked.page.outcome is outcome
        host.remove("/other/name.png", 500)
        looked = await site.look("/x.png", register, page_url=page)
        assert looked.page is not None
        assert looked.page.outcome is Outcome.INCONCLUSIVE, "what the page shows could not be seen"
        host.show("/x.png", picture(1))
        looked = await site.look("/x.png", register, page_url=page)
        assert looked.media.outcome is Outcome.PRESENT
        assert looked.page is None, "it is there: the page adds nothing"


async def test_an_asserted_page_is_a_persons_word_until_it_shows_something() -> None:
    async with open_site() as site:
        register = await site.register(picture(1))
        url = site.host.show("/p", b"<html>words</html>", content_type="text/html")
        key = canonical(url).url_key
        fields: dict[str, object] = {"target_kind": "page", "url": url, "url_key": key}
        assert (await site.look("/p", register, **fields)).media.outcome is Outcome.MISMATCH
        assert (await site.look("/p", register, adopted=True, **fields)).media.outcome is Outcome.PRESENT
        site.host.show("/x.png", picture(1))
        site.host.show("/p", b"<html><img src=x.png></html>", content_type="text/html")
        assert (await site.look("/p", register, **fields)).media.outcome is Outcome.PRESENT
        site.host.remove("/p", 410)
        assert (await site.look("/p", register, adopted=True, **fields)).media.outcome is Outcome.GONE
