"""A world for whole-process tests: pictures, the URLs they are at, and the hosts that serve and remove them.

Everything follows from a seed, so the list of expected takedowns is known before a service is started. The hosts count what they
receive: every message's `webhook-id`, by recipient and URL, also those they answered with an error.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import threading
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from aiohttp import web
from PIL import Image
from standardwebhooks import Webhook, WebhookVerificationError

from services.notifier.directory.csv_import import render_csv
from shared.media.pdq import pdq_hash

ADDRESS = "127.0.1.77"


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """One expected takedown: a picture's copy at a URL."""

    content: int
    host: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """`pictures` and `hashes` by content number; `placed` are the expected takedowns; `unrelated` are other media URLs."""

    pictures: tuple[bytes, ...]
    hashes: tuple[tuple[str, int], ...]
    placed: tuple[Placed, ...]
    unrelated: tuple[str, ...]
    hosts: tuple[str, ...]
    secret: str

    def directory_csv(self, base: str) -> str:
        """Every host is an organisation; one hosting provider stands behind ten of them."""

        def row(name: str, domain: str, next_rung: str) -> dict[str, str]:
            return {
                "organisation": name,
                "domains": domain,
                "webhook_url": f"{base}/hooks/{name}",
                "webhook_secrets": self.secret,
                "next_rung": next_rung,
                "posture": "normal",
            }

        providers = [f"provider-{number}" for number in range((len(self.hosts) + 9) // 10)]
        rows = [row(host, host, providers[number // 10]) for number, host in enumerate(self.hosts)]
        return render_csv([*rows, *(row(provider, f"{provider}.test", "") for provider in providers)])


def picture(seed: int, *, side: int = 96) -> npt.NDArray[np.uint8]:
    """A picture with structure at several scales, uint8[side, side, 3]: PDQ quality is high, and seeds are far apart."""
    rng = np.random.default_rng(seed)
    total = np.zeros((side, side, 3))
    for cells in (3, 6, 12, 24):
        coarse = rng.integers(0, 256, size=(cells, cells, 3), dtype=np.uint8)
        layer = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(layer, dtype=np.float64)
    total -= total.min()
    scaled: npt.NDArray[np.uint8] = (total * (255 / total.max())).astype(np.uint8)
    return scaled


def encoded(pixels: npt.NDArray[np.uint8], *, format_: str = "JPEG", quality: int = 85) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, **({"quality": quality} if format_ == "JPEG" else {}))
    return buffer.getvalue()


def make_world(*, contents: int, copies: int, sightings: int, hosts: int, seed: int = 1) -> World:
    """`contents` x `copies` expected takedowns spread over `hosts`, and unrelated URLs to make up `sightings` in all."""
    rng = random.Random(seed)
    names = tuple(f"h{number:02d}.test" for number in range(hosts))
    pictures, hashes = [], []
    for number in range(contents):
        pixels = picture(seed * 1_000_003 + number)
        value, quality = pdq_hash(pixels)
        pictures.append(encoded(pixels))
        hashes.append((value.hex(), quality))
    placed = [
        Placed(content=number, host=host, url=f"http://{host}/m/{number}-{copy}.jpg")
        for number in range(contents)
        for copy, host in enumerate(rng.sample(names, copies))
    ]
    unrelated = tuple(f"http://{rng.choice(names)}/other/{number}.jpg" for number in range(sightings - len(placed)))
    return World(
        pictures=tuple(pictures),
        hashes=tuple(hashes),
        placed=tuple(placed),
        unrelated=unrelated,
        hosts=names,
        secret="whsec_" + base64.b64encode(rng.randbytes(32)).decode(),
    )


def sightings_of(world: World, *, seen_at: str, seed: int = 2) -> list[dict[str, Any]]:
    """The bodies of `POST /v1/sightings`, shuffled. A copy's hash is a few bits off, as re-encoding makes it."""
    rng = random.Random(seed)

    def one(url: str, value: str, quality: int) -> dict[str, Any]:
        return {
            "media_url": url,
            "seen_at": seen_at,
            "source": "crawler-a",
            "fingerprints": [{"algorithm": "pdq", "value": value, "quality": quality}],
        }

    found = [one(item.url, _nudged(world.hashes[item.content][0], rng), 100) for item in world.placed]
    found += [one(url, _random_pdq(rng), 100) for url in world.unrelated]
    rng.shuffle(found)
    return found


def _nudged(value: str, rng: random.Random) -> str:
    number = int(value, 16)
    for bit in rng.sample(range(256), rng.randrange(7)):
        number ^= 1 << bit
    return f"{number:064x}"


def _random_pdq(rng: random.Random) -> str:
    bits = rng.sample(range(256), 128)
    return f"{sum(1 << bit for bit in bits):064x}"


@dataclass(slots=True)
class Received:
    """What the hosts counted. Keys of `ids` are (message type, recipient, URL)."""

    ids: defaultdict[tuple[str, str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    first_at: dict[str, float] = field(default_factory=dict)
    """Loop time at which the first demand for a URL arrived."""
    unsigned: int = 0
    misbehaved: int = 0


class Hosts:
    """All hosts of a world, in a thread of their own. They take a picture down when a demand for it is accepted.

    While `misbehave` is set, some answers are 503, some connections are cut and some hang; while `busy`, no message is taken.
    """

    def __init__(self, world: World, *, seed: int = 3) -> None:
        self.world = world
        self.received = Received()
        self.misbehave = False
        self.removes = True
        self.busy = False
        self.asked: list[tuple[float, str]] = []
        """Each request about a URL, messages and fetches: `time.monotonic()` and the URL."""
        self._rng = random.Random(seed)
        self._by_url = {item.url: world.pictures[item.content] for item in world.placed}
        self._gone: set[str] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="hosts", daemon=True)
        self._ready = threading.Event()
        self._webhook = Webhook(world.secret)
        self.port = 0

    @property
    def base(self) -> str:
        return f"http://{ADDRESS}:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"{ADDRESS}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(30):
            raise RuntimeError("the hosts did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def present(self) -> Iterator[str]:
        """The URLs still up."""
        return (url for url in self._by_url if url not in self._gone)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._ready.set()
        self._loop.run_forever()

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_post("/hooks/{recipient}", self._hook)
        app.router.add_get("/{path:.*}", self._get)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, ADDRESS, 0)
        await site.start()
        self.port = runner.addresses[0][1]

    async def _moody(self, request: web.Request) -> web.Response | None:
        if not self.misbehave or self._rng.random() > 0.25:
            return None
        self.received.misbehaved += 1
        mood = self._rng.random()
        if mood < 0.6:
            return web.Response(status=503, headers={"Retry-After": "1"})
        if mood < 0.8 and request.transport is not None:
            request.transport.abort()
            return web.Response(status=500)
        await asyncio.sleep(3)
        return web.Response(status=504)

    async def _get(self, request: web.Request) -> web.Response:
        url = f"http://{request.host.partition(':')[0]}{request.path}"
        self.asked.append((time.monotonic(), url))
        moody = await self._moody(request)
        if moody is not None:
            return moody
        if url in self._gone:
            return web.Response(status=410 if zlib.crc32(url.encode()) % 2 else 404)
        body = self._by_url.get(url)
        if body is None:
            return web.Response(status=404)
        return web.Response(body=body, content_type="image/jpeg")

    async def _hook(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            self._webhook.verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.received.unsigned += 1
            return web.Response(status=401)
        message = json.loads(body)
        recipient = request.match_info["recipient"]
        items = message["data"].get("items", [])
        for item in items:
            url = item.get("url") or ""
            self.received.ids[message["type"], recipient, url].add(request.headers["webhook-id"])
            self.received.first_at.setdefault(url, self._loop.time())
            self.asked.append((time.monotonic(), url))
        if self.busy:
            return web.Response(status=503)
        moody = await self._moody(request)
        if moody is not None:
            return moody
        if self.removes and message["type"] in ("demand.issued", "demand.reminded", "demand.still_present"):
            self._gone.update(item["url"] for item in items)
        return web.Response(status=204)
