# ruff: noqa: E501 - a page stands on a line
"""What a page cannot do from inside our browser: reach inward, act, stay, write."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.media.browser.look import BrowserOutcome, Unfinished
from shared.media.browser.process import descendants
from shared.outbound.guard import DnsFailure
from tests.browser.look_world import answer, open_internet, redirect


class Names:
    """A name server of an uploader: public at first, private then."""

    def __init__(self, **answers: tuple[str, ...]) -> None:
        self.answers = {name.replace("_", "."): found for name, found in answers.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        if host not in self.answers:
            raise DnsFailure(no_such_domain=True)
        return self.answers[host]


@asynccontextmanager
async def listening(kind: socket.SocketKind = socket.SOCK_STREAM) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A port of 127.0.0.1, and what came to it."""
    heard: list[bytes] = []
    loop = asyncio.get_running_loop()
    if kind is socket.SOCK_DGRAM:

        class Hearing(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: object) -> None:
                heard.append(data)

        transport, _ = await loop.create_datagram_endpoint(Hearing, local_addr=("127.0.0.1", 0))
        try:
            yield transport.get_extra_info("sockname")[1], heard
        finally:
            transport.close()
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(b"connected")
        heard.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], heard
    finally:
        server.close()


INWARD = (
    "http://127.0.0.1/",
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://0.0.0.0:{port}/",
    "http://2130706433:{port}/",
    "http://169.254.169.254/latest/meta-data/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://10.0.0.1/",
    "http://rebound.test/",
    "https://127.0.0.1:{port}/",
    "https://169.254.169.254/",
)


async def test_no_address_inward_is_reached() -> None:
    names = Names(rebound_test=("127.0.0.1",))
    async with listening() as (port, heard), open_internet(resolver=names) as internet:
        for url in INWARD:
            look = await internet.browser.look(url.format(port=port))
            assert look.outcome is BrowserOutcome.ADDRESS_REFUSED or (
                look.outcome is BrowserOutcome.NO_SUCH_DOMAIN and "localhost" in url
            ), (url, look.outcome, look.detail)
            assert not look.drawn
        pieces = "".join(f'<img src="{url.format(port=port)}x.png">' for url in INWARD)
        pieces += "".join(f'<iframe src="{url.format(port=port)}"></iframe>' for url in INWARD)
        pieces += "".join(f"<script>fetch('{url.format(port=port)}',{{mode:'no-cors'}})</script>" for url in INWARD)
        look = await internet.browser.look(internet.page("/", pieces))
        assert Unfinished.BUDGET in look.unfinished, "something was refused: not fully drawn"
        assert not heard


@pytest.mark.parametrize("how", ["302", "307", "refresh", "script", "frame", "picture", "two hops", "tls"])
async def test_no_redirect_leads_inward(how: str) -> None:
    async with listening() as (port, heard), open_internet() as internet:
        for target in (f"http://127.0.0.1:{port}/", "http://169.254.169.254/"):
            internet.put("/away", redirect(target, "307 Temporary Redirect" if how == "307" else "302 Found"))
            internet.put("/first", redirect("http://cdn.test/second"))
            internet.put("/second", redirect(target), host="cdn.test")
            url = {
                "refresh": internet.page("/refresh", f"<meta http-equiv=refresh content='0;url={target}'>"),
                "script": internet.page("/script", f"<script>location='{target}'</script>"),
                "frame": internet.page("/frame", "<iframe src=/away></iframe>"),
                "picture": internet.page("/picture", "<img src=/away>"),
                "two hops": "http://site.test/first",
                "tls": "https://site.test/away",
            }.get(how, "http://site.test/away")
            look = await internet.browser.look(url)
            assert look.outcome is BrowserOutcome.ADDRESS_REFUSED or not look.fully_drawn, look
        assert not heard


async def test_nobody_else_can_drive_it_and_its_proxy_serves_nobody_else() -> None:
    """The port by which it is driven closes as soon as it is; the proxy asks for the look's credential."""
    async with open_internet() as internet:
        await internet.browser.look(internet.page("/", "x"))
        supervisor = internet.browser.supervisor_pid
        assert supervisor is not None
        ours = _listening_ports([os.getpid(), *descendants(os.getpid())])
        its = _listening_ports(descendants(supervisor))
        assert not its, "Chromium listens nowhere"
        answers = []
        for port in ours:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET http://site.test/ HTTP/1.1\r\nHost: site.test\r\n\r\n")
            with contextlib.suppress(OSError):
                answers.append((await reader.read(100)).split(b"\r\n")[0])
            writer.close()
        assert answers == [b"HTTP/1.1 407 Proxy Authentication Required"], "the proxy alone listens"


ACTS = {
    "form": "<form method=post action=/act><input name=a value=b></form><script>document.forms[0].submit()</script>",
    "fetch": "<script>fetch('/act',{method:'POST',body:'x'})</script>",
    "put": "<script>fetch('/act',{method:'PUT',body:'x'})</script>",
    "delete": "<script>fetch('http://cdn.test/act',{method:'DELETE'})</script>",
    "xhr": "<script>const x=new XMLHttpRequest();x.open('POST','/act');x.send('a')</script>",
    "beacon": "<script>navigator.sendBeacon('/act','x')</script>",
    "late beacon": "<script>onpagehide=()=>navigator.sendBeacon('/act','x');onvisibilitychange=onpagehide</script>",
    "keepalive": "<script>fetch('/act',{method:'POST',keepalive:true,body:'x'})</script>",
    "worker": "<script>new Worker(URL.createObjectURL(new Blob([`fetch('SITE/act',{method:'POST',body:'x'})`])))</script>",
    "shared worker": "<script>new SharedWorker('/worker.js')</script>",
    "frame": "<iframe srcdoc=\"<script>fetch('/act',{method:'POST',body:'x'})</script>\"></iframe>",
    "window": "<form method=post action=/act target=_blank><input name=a></form><script>document.forms[0].submit()</script>",
    "ping": "<a id=a href=/x ping=/act>x</a><script>a.click()</script>",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_page_asks_and_does_nothing_else(scheme: str) -> None:
    async with open_internet() as internet:
        internet.put("/worker.js", answer(b"fetch('/act',{method:'POST',body:'x'})", "text/javascript"))
        for place, (name, body) in enumerate(ACTS.items()):
            url = internet.page(f"/{place}", body.replace("SITE", f"{scheme}://site.test")).replace("http", scheme, 1)
            look = await internet.browser.look(url)
            assert look.outcome is BrowserOutcome.DRAWN, (name, look.outcome, look.detail)
            assert not [asked for asked in internet.asked if asked.method not in ("GET", "HEAD")], name
            assert not [asked for asked in internet.asked if asked.path.endswith("/act")], name


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_socket_is_opened(scheme: str) -> None:
    """WebSockets of pages, frames and workers; WebRTC by UDP and TCP; none of them, at a public site or inward."""
    socket_scheme = "wss" if scheme == "https" else "ws"
    async with (
        listening() as (port, heard),
        listening(socket.SOCK_DGRAM) as (udp, datagrams),
        open_internet() as internet,
    ):
        opening = "try{{new {w}WebSocket('{s}://{h}/socket')}}catch(e){{}}"
        ways = "".join(opening.format(w="", s=socket_scheme, h=host) for host in ("site.test", f"127.0.0.1:{port}"))
        worker = f"new Worker(URL.createObjectURL(new Blob([`{ways}`])))"
        blank = f"const f=document.createElement('iframe');document.body.append(f);const W=f.contentWindow.WebSocket||WebSocket;new W('{socket_scheme}://site.test/socket')"
        calls = f"""const c=new RTCPeerConnection({{iceServers:[{{urls:'stun:127.0.0.1:{udp}'}},{{urls:'turn:127.0.0.1:{port}?transport=tcp',username:'u',credential:'p'}}]}});
            c.createDataChannel('x');c.createOffer().then(o=>c.setLocalDescription(o))"""
        body = "".join(f"<script>{one}</script>" for one in (ways, worker, blank, calls))
        body += f'<iframe srcdoc="<script>{ways}</script>"></iframe>'
        body += "<iframe src=/called></iframe>"
        internet.page("/called", f"<script>{calls}</script>")
        look = await internet.browser.look(
            internet.page("/", body + "<img src=/sought.png>").replace("http", scheme, 1)
        )
        assert look.outcome is BrowserOutcome.DRAWN
        assert look.answers, "the page itself was served"
        assert "/socket" not in internet.paths()
        assert not heard
        assert not datagrams


def _listening_ports(pids: list[int]) -> list[int]:
    """TCP ports of loopback on which these processes listen, but for the test's own site."""
    sockets = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for fd in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    sockets.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
    found = []
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        address, port = fields[1].split(":")
        loopback = struct.pack("<I", int(address, 16)) == socket.inet_aton("127.0.0.1")
        if fields[3] == "0A" and loopback and f"socket:[{fields[9]}]" in sockets:
            found.append(int(port, 16))
    return found
