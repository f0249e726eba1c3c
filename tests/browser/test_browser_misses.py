"""What a page may not have in a browser's look, it is told of as missing: such a page is never taken for one that was drawn whole."""

from __future__ import annotations

from shared.media.browser.look import Unfinished
from tests.browser.look_world import open_internet

SHOW = "document.body.append(Object.assign(new Image(),{src:'/sought.png'}))"
MISSED = {
    "WebSocket": f"<script>const s=new WebSocket('wss://site.test/s');s.onmessage=()=>{{{SHOW}}}</script>",
    "RTCPeerConnection": "<script>new RTCPeerConnection().createDataChannel?.('x')</script>",
    "SharedWorker": "<script>new SharedWorker('/w.js')</script>",
    "in a frame": "<iframe srcdoc=\"<script>new WebSocket('wss://site.test/s')</script>\"></iframe>",
    "a blank frame's": "<script>const f=document.createElement('iframe');document.body.append(f);"
    "new f.contentWindow.WebSocket('wss://site.test/s')</script>",
    "fetch replaced before": "<script>window.fetch=()=>Promise.resolve();new WebSocket('wss://site.test/s')</script>",
    "by an event": "<script>onload=()=>setTimeout(()=>new WebSocket('wss://site.test/s'),200)</script>",
}


async def test_what_a_page_may_not_have_is_told() -> None:
    async with open_internet() as internet:
        silent = []
        for place, (name, body) in enumerate(MISSED.items()):
            look = await internet.browser.look(internet.page(f"/{place}", f"<p>x</p>{body}"))
            if Unfinished.PARTS not in look.unfinished:
                silent.append((name, look.outcome, sorted(look.unfinished)))
        assert not silent, silent
        assert not [asked for asked in internet.asked if "unavailable" in asked.host]


BY_TLS = {
    "registered": "<script>navigator.serviceWorker.register('/w.js')</script>",
    "by its prototype": "<script>ServiceWorkerContainer.prototype.register.call(navigator.serviceWorker,'/w.js')</script>",
    "in a frame": "<iframe srcdoc=\"<script>navigator.serviceWorker.register('/w.js')</script>\"></iframe>",
    "a blank frame's": "<script>const f=document.createElement('iframe');document.body.append(f);"
    "f.contentWindow.navigator.serviceWorker.register('/w.js')</script>",
    "late": "<script>onload=()=>setTimeout(()=>navigator.serviceWorker.register('/w.js'),200)</script>",
    "WebGPU": "<script>navigator.gpu.requestAdapter().then(a=>a&&a.requestDevice())</script>",
    "a protected film": "<script>navigator.requestMediaKeySystemAccess('com.widevine.alpha',[{initDataTypes:['cenc'],"
    "videoCapabilities:[{contentType:'video/mp4;codecs=avc1.42E01E'}]}])</script>",
    "waited for": f"<script>navigator.serviceWorker.ready.then(()=>{{{SHOW}}})</script>",
}
"""Of TLS alone. A service worker answers with the picture what the page asks for a second later, and the network with 404."""


async def test_what_is_there_by_tls_alone_is_told_too() -> None:
    async with open_internet() as internet:
        later = "<img id=i><script>setTimeout(()=>i.src='/by-worker.png',1000)</script>"
        silent = []
        for place, (name, body) in enumerate(BY_TLS.items()):
            url = internet.page(f"/{place}", f"<p>x</p>{later}{body}").replace("http:", "https:")
            look = await internet.browser.look(url)
            if Unfinished.PARTS not in look.unfinished:
                silent.append((name, look.outcome, sorted(look.unfinished)))
        assert not silent, silent
        assert "/w.js" not in internet.paths(), "and none is fetched"
        asks = "<p>x</p><script>if(navigator.serviceWorker&&'register' in navigator.serviceWorker){}</script>"
        look = await internet.browser.look(internet.page("/asks", asks).replace("http:", "https:"))
        assert look.fully_drawn, "that there are some is no use of one"


async def test_that_it_is_there_is_enough_for_a_page_that_asks_for_no_more() -> None:
    async with open_internet() as internet:
        page = f"<body><script>if(window.WebSocket&&typeof WebSocket=='function'){SHOW}</script>"
        look = await internet.browser.look(internet.page("/", page))
        assert look.fully_drawn
        assert len(look.answers) == 1
