"""Words in identifiers, classes, names and script URLs that pages between a visitor and what is shown have. Facts, no judgement."""

from __future__ import annotations

import re
from collections.abc import Iterator

MARKERS = {
    "age_gate": r"age[-_ ]?(?:gate|check|verif\w{0,10}|restrict\w{0,10}|confirm\w{0,10})|over[-_]?18|verify[-_]?age|adult[-_]?warning",
    "arkose": r"arkoselabs|funcaptcha",
    "akamai": r"sec-if-cpt|/akam/|ak-challenge",
    "aws_waf": r"awswaf|aws-waf",
    "captcha": r"captcha",
    "cloudflare": r"cf-challenge|cf_chl|cf-turnstile|challenges\.cloudflare|challenge-platform|cf-error",
    "consent_wall": r"cookie[-_]?wall|consent[-_]?wall",
    "datadome": r"datadome|captcha-delivery",
    "ddos_guard": r"ddos-guard|ddosguard|__ddg",
    "geo_block": r"geo[-_]?(?:block\w{0,5}|restrict\w{0,10})",
    "imperva": r"incapsula|imperva|_incap_",
    "kasada": r"kpsdk|kasada",
    "login": r"log[-_]?in\b|sign[-_]?in\b|loginform|signinform",
    "paywall": r"paywall|subscribe[-_]?wall",
    "perimeterx": r"px-captcha|perimeterx|px-cdn|human-challenge",
    "sucuri": r"sucuri",
}
_ANY = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern in MARKERS.items()), re.IGNORECASE)


def markers_in(text: str) -> Iterator[str]:
    """The names of the markers in a text, repeated ones too."""
    for match in _ANY.finditer(text):
        if match.lastgroup is not None:
            yield match.lastgroup
