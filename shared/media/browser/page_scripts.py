"""The functions that run beside a page's own scripts, in a world of their own.

They share the page's elements and nothing of its JavaScript: a page that has replaced `querySelectorAll` is not asked.
"""

from __future__ import annotations

UNAVAILABLE = "https://unavailable.invalid/"
"""What is asked for in place of what a page may not have: it never leaves, and the look hears that something was missing (RFC 2606)."""

NO_SOCKETS = """(() => {
  // Sockets and calls that go round the proxy or past its look at requests. They are there, as a page expects, and fail; that one was
  // wanted is reported by a request that is refused. Frames made later get this too.
  const ask = window.fetch, later = window.setTimeout;
  let reported = false;
  const missed = () => { if (!reported) { reported = true; try { ask('UNAVAILABLE').catch(() => {}); } catch (error) { } } };
  for (const name of ['WebSocket', 'WebSocketStream', 'RTCPeerConnection', 'webkitRTCPeerConnection', 'WebTransport', 'SharedWorker']) {
    if (!(name in window) && name !== 'SharedWorker') continue;  // that one is switched off, and no page knows why
    const failing = { [name]: class extends EventTarget {
      constructor() {
        super();
        missed();
        later(() => {
          for (const kind of ['error', 'close']) {
            const event = new Event(kind);
            try { this['on' + kind]?.(event); } catch (error) { }
            this.dispatchEvent(event);
          }
        });
      }
      send() { } close() { }
    } }[name];
    try { delete window[name]; } catch (error) { }
    try { Object.defineProperty(window, name, { value: failing, configurable: true, writable: true }); } catch (error) { }
  }
  // What draws by a graphics card, and films under keys: there is no card here, and no keys. Others see what they draw.
  const by_card = /webgl|webgpu/;
  for (const one of [window.HTMLCanvasElement?.prototype, window.OffscreenCanvas?.prototype]) {
    const draw = one?.getContext;
    if (!draw) continue;
    one.getContext = function getContext(kind, ...rest) {
      if (by_card.test(kind)) missed();
      return draw.call(this, kind, ...rest);
    };
  }
  for (const [one, name] of [[window.GPU?.prototype, 'requestAdapter'], [window.Navigator?.prototype, 'requestMediaKeySystemAccess']]) {
    const request = one?.[name];
    if (!request) continue;
    one[name] = function (...rest) {
      if (rest[0] !== 'org.w3.clearkey') missed();
      return request.apply(this, rest);
    };
  }
  // A service worker could answer what the page asks for next, and none runs here. On the object too, where others put theirs.
  const waits = { get() { missed(); return new Promise(() => {}); } };
  const asked = { value: function register() { missed(); return new Promise(() => {}); } };
  for (const one of [window.ServiceWorkerContainer?.prototype, navigator.serviceWorker])
    try {
      if (one) Object.defineProperties(one, { ready: waits, register: asked });
    } catch (error) { }
})()""".replace("UNAVAILABLE", UNAVAILABLE)

SCROLL_ON = """function (by) {
  // The page, or where it does not scroll, the largest box of it that does; true once it has moved.
  const page = document.scrollingElement || document.documentElement;
  let one = page, best = innerWidth * innerHeight / 4, looked = 0;
  if (!page) return false;
  if (page.scrollHeight <= innerHeight + 2)
    for (const element of document.querySelectorAll('div, main, section, article, ul, body')) {
      if (++looked > 3000) break;
      if (element.scrollHeight <= element.clientHeight + 2 || element.clientWidth * element.clientHeight <= best) continue;
      if (!/auto|scroll/.test(getComputedStyle(element).overflowY)) continue;
      best = element.clientWidth * element.clientHeight; one = element;
    }
  const before = one.scrollTop, seen = one === page ? innerHeight : one.clientHeight;
  one.scrollBy({top: by * seen, behavior: 'instant'});
  return one.scrollTop > before + 1;
}"""

NEXT_FRAMES = """async function (milliseconds) {
  // Two frames on, what hears of a scroll has heard of it.
  const late = new Promise(done => setTimeout(done, milliseconds));
  await Promise.race([late, new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))]);
  return true;
}"""

PAGE_FACTS = """function (limit) {
  const body = document.body || document.documentElement;
  const text = body ? String(body.innerText || body.textContent || '') : '';
  return {title: String(document.title || '').slice(0, 1000), text: text.slice(0, limit)};
}"""

BROKEN_PICTURES = """function () {
  // Pictures that have ended without being drawn, open shadow trees included.
  const found = [], roots = [document];
  let looked = 0;
  while (roots.length && looked < 50000) {
    const root = roots.pop();
    for (const element of root.querySelectorAll('*')) {
      if (++looked > 50000) break;
      if (element.shadowRoot) roots.push(element.shadowRoot);
      if (element instanceof HTMLImageElement && (element.getAttribute('src') || element.currentSrc)) {
        const style = getComputedStyle(element), mark = element.width > 0 && element.width <= 3;  // a counter's pixel
        if (mark || style.display === 'none' || style.visibility !== 'visible') continue;
        if (element.complete ? element.naturalWidth === 0 : element.loading !== 'lazy') found.push(element.currentSrc || element.src);
      } else if (element instanceof HTMLVideoElement && element.error) found.push(element.currentSrc || element.src);
      if (found.length >= 200) return found;
    }
  }
  return found;
}"""

HIDE_OVERLAYS = """function () {
  // What lies over the middle of the screen, with something of the page outside it, or is a modal dialog. What shows no picture itself
  // is hidden, so that what is below is drawn; a picture shown large (a light box) stays.
  const found = new Set(), size = innerWidth * innerHeight, pictures = 'img, video, canvas, iframe, object, embed, svg image';
  const words = element => String(element.innerText || '').trim().length;
  for (const dialog of document.querySelectorAll('dialog:modal')) found.add(dialog);
  for (const x of [.2, .5, .8]) for (const y of [.2, .5, .8])
    for (const element of document.elementsFromPoint(innerWidth * x, innerHeight * y).slice(0, 20))
      for (let one = element; one && one !== document.body && one !== document.documentElement; one = one.parentElement) {
        if (found.has(one)) break;
        const style = getComputedStyle(one), layer = parseInt(style.zIndex) || 0;
        if (!(style.position === 'fixed' && layer >= 0) && !(style.position === 'absolute' && layer >= 10)) continue;
        const box = one.getBoundingClientRect();
        const wide = Math.min(box.right, innerWidth) - Math.max(box.left, 0);
        const high = Math.min(box.bottom, innerHeight) - Math.max(box.top, 0);
        if (wide * high < size * .3 || style.visibility !== 'visible') continue;
        const others = [...document.querySelectorAll(pictures)].slice(0, 500);
        const outside = words(document.body) > words(one) + 40 || others.some(other => other !== one && !one.contains(other));
        if (outside) found.add(one);
      }
  for (const one of found)
    if (!one.matches(pictures) && !one.querySelector(pictures)) one.style.setProperty('visibility', 'hidden', 'important');
  return found.size;
}"""

READY = """async function (milliseconds) {
  // The element's own size, once it is decoded; `fit` says how it lies in its box.
  const late = new Promise(done => setTimeout(done, milliseconds));
  if (this instanceof HTMLImageElement && this.currentSrc) {
    if (this.loading === 'lazy') this.loading = 'eager';
    await Promise.race([this.decode().catch(() => 0), late]);
  }
  const frame = new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
  await Promise.race([frame, late]);
  const width = this.naturalWidth || this.videoWidth || 0, height = this.naturalHeight || this.videoHeight || 0;
  return {width, height, fit: getComputedStyle(this).objectFit};
}"""

SHOW_MOMENT = """async function (part, milliseconds) {
  // A video at a part of its length; `at` is null where that could not be.
  const wait = (name, done) => done() ? Promise.resolve() : new Promise(ready => {
    const end = setTimeout(ready, milliseconds);
    this.addEventListener(name, () => { clearTimeout(end); ready(); }, {once: true});
  });
  this.muted = true; this.controls = false; this.autoplay = false; this.loop = false;
  if (this.readyState < 2) {
    this.preload = 'auto';
    this.play().catch(() => 0);
    await wait('loadeddata', () => this.readyState >= 2 || this.error);
  }
  this.pause();
  let length = this.duration;
  if (!isFinite(length)) length = this.seekable.length ? this.seekable.end(this.seekable.length - 1) : 0;
  if (this.readyState < 1 || this.error) return {at: null, width: 0, height: 0, fit: ''};
  const target = length * part;
  if (Math.abs(this.currentTime - target) > .01) { this.currentTime = target; await wait('seeked', () => false); }
  await new Promise(done => { requestAnimationFrame(() => requestAnimationFrame(done)); setTimeout(done, 300); });
  const shown = this.readyState >= 2 && !this.seeking;
  return {at: shown ? this.currentTime : null, width: this.videoWidth, height: this.videoHeight, fit: getComputedStyle(this).objectFit};
}"""
