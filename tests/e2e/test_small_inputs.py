"""`serve`, whole, against each of the small inputs: every one gets its outcome, none stops it, and `outbound off` is heard meanwhile.

One program for all of them, for its start takes longest: some 90 checks, and reports of those that are there to stop something.
"""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shared.media.pdq import luma_of, pdq_of_luma, to_rgb
from tests.claims import claim_body
from tests.data.still_there import BASE
from tests.e2e.poison import publish_content_of_revision, readers_that_refused
from tests.e2e.processes import Client, Fleet, free_port, wait_for
from tests.e2e.small_inputs import ANY, PARTS, Input, inputs
from tests.e2e.story import environment, key
from tests.raw_host import RawHost

pytestmark = pytest.mark.timeout(600)

NAME = "inputs.test"
OFF_WITHIN_SECONDS = 1.0
ENDED = frozenset({"matched", "no_match", "no_media", "unreachable", "refused", "failed", "fetched", "rejected"})


@contextmanager
def served(shown: list[Input]) -> Iterator[RawHost]:
    """The inputs on a real socket, in a thread of their own."""
    host = RawHost(name=NAME, address="127.0.1.93")
    host.answers = {**PARTS, **{path_of(number): one.answer for number, one in enumerate(shown)}}
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(host.serve, host.address, 0))
    host.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        server.close()


def path_of(number: int) -> str:
    return f"/input/{number}"


def base_picture() -> dict[str, Any]:
    value, quality = pdq_of_luma(luma_of(np.asarray(to_rgb(Image.open(io.BytesIO(BASE))))))
    return {"algorithm": "pdq", "value": bytes(value).hex(), "quality": quality}


def test_each_gets_its_outcome_and_none_stops_anything(server_dir: Path) -> None:
    shown, port = inputs(), free_port()
    with served(shown) as host:
        pair = f"{host.address}:{host.port}"
        config = server_dir / "takedown.toml"
        config.write_text(
            f'allow_static_hosts = true\noutbound_allow = ["{pair}"]\n[static_hosts]\n"{NAME}" = "{pair}"\n[policy]\nclock_scale = 0.01\n'
        )
        settings = environment(str(config), TAKEDOWN_DATA_DIR=str(server_dir / "data"))
        with Fleet(settings, logs=server_dir, ports={"serve": port}) as fleet:
            fleet.start("serve")
            fleet.wait_ready()
            base, pid = f"http://127.0.0.1:{port}", fleet.pid("serve")
            clients = {
                name: Client(base, key(fleet, role, name))
                for name, role in (("ann", "helpline"), ("ben", "helpline"), ("c", "crawler"), ("ops", "operations"))
            }
            publish_content_of_revision(server_dir / "data")
            claim = clients["ann"].post("/v1/claims", claim_body(base_picture()))
            clients["ben"].post(f"/v1/claims/{claim['claim_id']}/confirmation", {"assurance": "viewed"})
            urls = {host.url(path_of(number)): one for number, one in enumerate(shown)}
            clients["c"].post("/v1/sightings", [sighting(url) for url in urls])
            looks, off = checked(clients["ops"], urls), switched(clients["ops"])
            reports = {
                url: clients["ann"].post("/v1/reports", {"url": url, "case_ref": "HL-20260001"})["report_id"]
                for url, one in urls.items()
                if one.right == ANY
            }
            off.append(switched(clients["ops"])[0])
            wait_for(
                lambda: all_ended(clients["ann"], reports), seconds=120, what="an outcome of each report", every=1.0
            )
            assert fleet.pid("serve") == pid
            assert fleet.ready("serve")
            assert len(readers_that_refused(server_dir / "data")) == 2, "the matcher and the notifier, which read on"
        wrong = {
            urls[url].name: (outcome, urls[url].right)
            for url, outcome in looks.items()
            if outcome not in urls[url].right
        }
        assert not wrong
        assert max(off) < OFF_WITHIN_SECONDS, off


def sighting(url: str) -> dict[str, Any]:
    return {
        "source": "crawler-1",
        "media_url": url,
        "seen_at": datetime.now(UTC).isoformat(),
        "fingerprints": [base_picture()],
    }


def switched(operations: Client) -> list[float]:
    """How long `outbound off` took to be answered."""
    began = time.monotonic()
    operations.post("/v1/outbound", {"on": False})
    return [time.monotonic() - began]


def checked(operations: Client, urls: dict[str, Input]) -> dict[str, str]:
    """The first check's outcome of each."""
    found: dict[str, str] = {}

    def all_checked() -> bool:
        for item in operations.all("/v1/takedowns"):
            if item["url"] not in found:
                checks = operations.get(f"/v1/takedowns/{item['takedown_id']}")["checks"]
                if checks:
                    found[item["url"]] = checks[-1]["outcome"]
        return len(found) == len(urls)

    wait_for(all_checked, seconds=180, what="a check of each", every=1.0)
    return found


def all_ended(helpline: Client, reports: dict[str, str]) -> bool:
    return all(helpline.get(f"/v1/reports/{report_id}")["state"] in ENDED for report_id in reports.values())
