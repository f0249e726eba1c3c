# ruff: noqa: E501 - a page stands on a line
"""What a page leaves behind in our browser, on our disks and in our processes: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.media.browser.look import BrowserOutcome
from shared.media.browser.process import FOLDER_PREFIX, descendants, memory_folder, sweep
from tests.browser.look_world import SOUGHT, Asked, answer, needs_chromium, open_internet
from tests.disk import alive, files_with, files_written_by
from tests.fixtures_servers import wait_until

STAYS = {
    "service worker": "<script>navigator.serviceWorker.register('/sw.js')</script>",
    "window": "<script>for(let n=0;n<5;n++)open('http://cdn.test/opened'+n)</script>",
    "download": "<a id=a href=/file.zip download>x</a><script>a.click()</script>",
    "blob download": "<a id=a download=x.txt>x</a><script>a.href=URL.createObjectURL(new Blob(['secret']));a.click()</script>",
    "file frame": "<iframe src=file:///etc/passwd></iframe>",
    "file": "<script>location='file:///etc/passwd'</script>",
    "own page": "<script>location='chrome://version'</script><iframe src=chrome://settings></iframe>",
    "view source": "<script>location='view-source:http://site.test/'</script>",
    "protocol": "<script>location='mailto:a@b.test'</script>",
    "permissions": """<script>navigator.geolocation.getCurrentPosition(()=>fetch('/granted'));Notification.requestPermission().then(p=>p=='granted'&&fetch('/granted'));
        navigator.mediaDevices?.getUserMedia({audio:true}).then(()=>fetch('/granted'))</script>""",
    "print": "<script>print()</script>",
}


@pytest.mark.timeout(120)
async def test_nothing_of_a_page_stays_or_leaves_its_window() -> None:
    async with open_internet() as internet:
        internet.put("/sw.js", answer(b"onfetch=e=>e.respondWith(new Response('sw'))", "text/javascript"))
        internet.put("/file.zip", answer(b"PK" * 100, "application/zip"))
        for place, (name, body) in enumerate(STAYS.items()):
            look = await internet.browser.look(
                internet.page(f"/{place}", body + "<img src=/sought.png>", host="cdn.test")
            )
            assert look.outcome is BrowserOutcome.DRAWN, (name, look.outcome, look.detail)
            assert "root:" not in look.text, name
            assert look.final_url.startswith("http"), name
        look = await internet.browser.look(internet.put("/attached", answer(SOUGHT, "application/zip")))
        assert look.outcome is BrowserOutcome.DOWNLOAD
        assert "/granted" not in internet.paths("cdn.test")
        assert "/sw.js" not in internet.paths("cdn.test")
        await internet.browser.look(internet.page("/cookie", "<script>document.cookie='a=b';localStorage.a=1</script>"))
        look = await internet.browser.look(
            internet.page("/left", "<p id=p></p><script>p.innerText='has '+document.cookie+localStorage.a</script>")
        )
        assert look.text.strip() == "has undefined", "a look begins with nothing of the look before"


async def test_it_runs_unprivileged_in_its_own_sandbox() -> None:
    async with open_internet() as internet:
        begun, end = asyncio.Event(), asyncio.Event()

        async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
            begun.set()
            await end.wait()

        internet.put("/slow.js", slow)
        looking = asyncio.create_task(internet.browser.look(internet.page("/", "x<script src=/slow.js></script>")))
        await asyncio.wait_for(begun.wait(), 30)
        supervisor = internet.browser.supervisor_pid
        assert supervisor is not None
        found = {pid: _status(pid) for pid in descendants(supervisor)}
        assert found
        if os.geteuid() == 0:
            assert all(status["Uid"].split()[0] != "0" for status in found.values())
        command = {pid: _command(pid) for pid in found}
        end.set()
        await looking
        assert not [one for one in command.values() if b"--no-sandbox" in one]
        renderers = [pid for pid, one in command.items() if b"--type=renderer" in one]
        assert renderers
        assert all(found[pid]["Seccomp"].strip() == "2" for pid in renderers)


MARK = b"a-mark-that-no-other-file-has-8c1f"


@pytest.mark.timeout(200)
async def test_no_picture_is_written_to_disk_and_it_dies_with_us(tmp_path: Path) -> None:
    """Looks in a process of their own, killed in the midst of one; then the disk is searched for the picture's bytes."""
    needs_chromium()
    started = time.time() - 1
    script = tmp_path / "looker.py"
    script.write_text(textwrap.dedent(_LOOKER))
    # The mark is made in the child by a sum, so that neither this file nor the script holds it.
    child = subprocess.Popen(  # noqa: ASYNC220 - its start is over at once
        [sys.executable, str(script)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert child.stdout is not None
        lines = iter(child.stdout.readline, "")
        looked = await asyncio.wait_for(asyncio.to_thread(_next, lines, "looked "), 90)
        await asyncio.wait_for(asyncio.to_thread(_next, lines, "begun"), 60)
        supervisor, drawn_piece = looked.split()[1:3]
        below = [int(supervisor), *descendants(child.pid)]
        open_files = files_written_by(descendants(int(supervisor)))
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    gone = wait_until(lambda: not [pid for pid in below if alive(pid)], seconds=5)
    assert gone < 5
    assert not open_files, "the browser's files lie in memory alone"
    sought = [bytes(one ^ 0x5A for one in bytes.fromhex(_SECRET)), _picture_piece(), bytes.fromhex(drawn_piece)]
    found = files_with(sought, newer_than=started)
    assert not found, found
    sweep(memory_folder())
    assert not [one for one in memory_folder().glob(f"{FOLDER_PREFIX}*") if (one / "lock").exists() and _is_free(one)]


_SECRET = bytes(one ^ 0x5A for one in MARK).hex()
_LOOKER = f"""
    import asyncio
    from tests.browser.look_world import SOUGHT, answer, open_internet

    async def main():
        async with open_internet() as internet:
            internet.put("/marked.png", answer(SOUGHT + bytes(one ^ 0x5A for one in bytes.fromhex("{_SECRET}")) * 50))
            internet.page("/", "<img src=/marked.png><script>caches.open('x').then(c=>c.add('/marked.png'));"
                "indexedDB.open('d').onupgradeneeded=e=>e.target.result.createObjectStore('s')</script>")
            for _ in range(3):
                look = await internet.browser.look("http://site.test/")
                assert look.drawn and look.answers, look.outcome
            drawn = look.drawn[1].body
            print("looked", internet.browser.supervisor_pid, drawn[len(drawn) // 2 :][:48].hex(), flush=True)

            async def slow(asked, writer):
                print("begun", flush=True)
                writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Type: text/html\\r\\n\\r\\n<img src=/marked.png>")
                await writer.drain()
                await asyncio.sleep(60)

            internet.put("/slow", slow)
            await internet.browser.look("http://site.test/slow")

    asyncio.run(main())
"""


def _next(lines: Iterator[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def _picture_piece() -> bytes:
    """A piece from the midst of the compressed picture: no other file has it."""
    middle = len(SOUGHT) // 2
    return SOUGHT[middle : middle + 48]


def _is_free(folder: Path) -> bool:
    import fcntl

    with (folder / "lock").open("r+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _status(pid: int) -> dict[str, str]:
    with contextlib.suppress(OSError):
        return dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {"Uid": "", "Seccomp": ""}
