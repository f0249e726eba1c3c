"""Chromium: where it is, and how it is started."""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.errors import BadSettings

PROGRAMS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
OFF = "off"
VIEWPORT = (1280, 1280)
"""Width and height in CSS pixels: of a desktop, and tall, so that lazy pages draw much at once."""

_SWITCHED_OFF = (
    # Each would speak to somebody by itself, or change what is asked for.
    "AutofillServerCommunication",
    "CertificateTransparencyComponentUpdater",
    "DialMediaRouteProvider",
    "EncryptedClientHello",
    "GlobalMediaControls",
    "HttpsFirstBalancedMode",
    "HttpsFirstBalancedModeAutoEnable",
    "HttpsUpgrades",
    "InterestFeedContentSuggestions",
    "MediaRouter",
    "NetworkTimeServiceQuerying",
    "OptimizationHints",
    "PaintHolding",
    "Prerender2",
    "Translate",
    "WebRtcHideLocalIpsWithMdns",
    # The window's own bars, which nobody sees, are pages with processes of their own.
    "InitialWebUI",
    "WebUIBackForwardButton",
    "WebUIHomeButton",
    "WebUILocationBar",
    "WebUIReloadButton",
    "WebUISplitTabsButton",
    "WebUIToolbar",
    "PreloadTopChromeWebUI",
    # One process draws all frames of a page: what is drawn is read in one piece, and a look holds no login to be kept apart.
    "IsolateOrigins",
    "IsolateSandboxedIframes",
    "site-per-process",
)
_SWITCHED_OFF_IN_PAGES = (
    "AutomationControlled",
    "DirectSockets",
    "Serial",
    "SharedWorker",  # its requests pass by what watches a page's
    "WebBluetooth",
    "WebHID",
    "WebTransport",
    "WebUSB",
)


def find_chromium(setting: str | None = None) -> Path | None:
    """The program to start; None where there is none or the setting (`TAKEDOWN_BROWSER`: `off` or a path) says so.

    Raises BadSettings for a path at which no program is.
    """
    if setting == OFF:
        return None
    if setting:
        found = shutil.which(setting) if setting.startswith("/") else None
        if found is None:
            raise BadSettings(f"TAKEDOWN_BROWSER: no program at {setting!r} (`off`, or the whole path of Chromium).")
        return Path(found)
    return next((Path(found) for name in PROGRAMS if (found := shutil.which(name))), None)


_WAY_OUT = (
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",  # it resolves nothing by itself, prefetches included
    "--dns-prefetch-disable",
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
)
_OF_ITS_OWN_ACCORD = (
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-extensions-with-background-pages",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-extensions",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--disable-print-preview",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--no-service-autorun",
    "--no-startup-window",
    "--password-store=basic",
    "--use-mock-keychain",
    "--deny-permission-prompts",
    "--disable-notifications",
    "--disable-speech-api",
)
"""Nothing is fetched, reported, asked or kept but what the page asks for."""
_DRAWN_THE_SAME = (
    "--autoplay-policy=no-user-gesture-required",
    "--disable-backgrounding-occluded-windows",
    "--disable-background-timer-throttling",
    "--disable-checker-imaging",
    "--disable-gpu",
    "--disable-ipc-flooding-protection",
    "--disable-renderer-backgrounding",
    "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--mute-audio",
)
"""The same each time, and at once."""


def arguments(
    *, profile: Path, proxy_url: str, sandbox: bool, script_memory_mb: int, trusted_keys: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The command line. `trusted_keys`: SHA-256 (base64) of public keys whose certificates are taken unseen: for tests alone."""
    width, height = VIEWPORT
    return (
        "--headless=new",
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        *(() if sandbox else ("--no-sandbox",)),
        # The way out
        f"--proxy-server={proxy_url}",
        *_WAY_OUT,
        # Nothing of its own accord
        *_OF_ITS_OWN_ACCORD,
        f"--disable-features={','.join(_SWITCHED_OFF)}",
        f"--disable-blink-features={','.join(_SWITCHED_OFF_IN_PAGES)}",
        "--disable-site-isolation-trials",
        # Drawn the same each time, and at once
        f"--window-size={width},{height}",
        *_DRAWN_THE_SAME,
        # Bounded
        f"--js-flags=--max-old-space-size={script_memory_mb}",
        "--renderer-process-limit=4",
        "--disk-cache-size=1",
        "--media-cache-size=1",
        *((f"--ignore-certificate-errors-spki-list={','.join(trusted_keys)}",) if trusted_keys else ()),
    )
