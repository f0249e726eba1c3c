"""What stands between a visitor and what is shown: a login, an age gate, a firewall, a fault of the site. Pure.

An obstacle is asked for only after nothing in the answer agreed with what is looked for, and it says that nothing follows from that.
So it errs towards finding one: the price is another look, or a person's. An ordinary page has links to a login, notes on age and a
firewall's script, too; what tells a wall from it is that a wall shows little else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from urllib.parse import unquote

from shared.media.html.contents import PageSigns
from shared.urls import split_url

WALL_CHARACTERS = 1_500
"""A page with more to read than this is no wall for its words alone."""
SHELL_CHARACTERS = 200
"""A page that runs scripts and shows no more text than this may be whatever they make of it."""


class Obstacle(StrEnum):
    """Why an answer says nothing about what is there."""

    LOGIN = "login"
    AGE_GATE = "age_gate"
    CHALLENGE = "challenge"
    """A firewall, or a test of being human."""
    GEOGRAPHY = "geography"
    PAYWALL = "paywall"
    CONSENT_WALL = "consent_wall"
    FORBIDDEN = "forbidden"
    LEGAL = "legal"
    """451: for reasons of law, perhaps where we look from alone (RFC 7725)."""
    ACCEPTED = "accepted"
    """202: it may come later."""
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    ERROR_MESSAGE = "error_message"
    """An error given as data, with a status of success."""
    MAINTENANCE = "maintenance"
    EMPTY = "empty"
    STATUS = "status"
    """Another status that is neither a success nor says that there is nothing."""
    URL_EXPIRED = "url_expired"
    """The URL was good until a moment that has passed: what it leads to may be there under a new one."""

    @property
    def blocks(self) -> bool:
        """Whether it is there for every visitor like us, and lasts; otherwise another look may see more."""
        return self in _BLOCKING


_BLOCKING = frozenset(
    (
        Obstacle.LOGIN,
        Obstacle.AGE_GATE,
        Obstacle.CHALLENGE,
        Obstacle.GEOGRAPHY,
        Obstacle.PAYWALL,
        Obstacle.CONSENT_WALL,
        Obstacle.FORBIDDEN,
        Obstacle.LEGAL,
    )
)
_OF_STATUS = {
    401: Obstacle.LOGIN,
    402: Obstacle.PAYWALL,
    403: Obstacle.FORBIDDEN,
    407: Obstacle.FORBIDDEN,
    408: Obstacle.SERVER_ERROR,
    425: Obstacle.RATE_LIMITED,
    429: Obstacle.RATE_LIMITED,
    451: Obstacle.LEGAL,
    511: Obstacle.LOGIN,
}
MISSING = frozenset((404, 410))
"""RFC 9110: there is nothing, for now or for good."""


def of_headers(headers: Mapping[str, str]) -> Obstacle | None:
    """The obstacle that a firewall's headers show. Names in lower case."""
    waf = headers.get("x-amzn-waf-action", "").strip().lower()
    mitigated = headers.get("cf-mitigated", "").strip().lower()
    if waf in ("challenge", "captcha") or mitigated or "x-sucuri-block" in headers:
        return Obstacle.CHALLENGE
    return None


def of_status(status: int, size_bytes: int) -> Obstacle | None:
    """The obstacle that a status means; None: it is a success, or says that there is nothing. An empty 202 is a firewall's (AWS WAF)."""
    if status == 202:
        return Obstacle.ACCEPTED if size_bytes else Obstacle.CHALLENGE
    if 200 <= status < 300 or status in MISSING:
        return None
    return _OF_STATUS.get(status, Obstacle.SERVER_ERROR if status >= 500 else Obstacle.STATUS)


def of_redirect(asked_url: str, final_url: str) -> Obstacle | None:
    """Whether one was led to a login, a gate or a challenge instead."""
    if final_url == asked_url:
        return None
    asked, final = split_url(asked_url), split_url(final_url)
    led_to = unquote(f"{final.hostname or ''}{final.path}").lower()
    came_from = unquote(f"{asked.hostname or ''}{asked.path}").lower()
    for obstacle, pattern in _PLACES.items():
        if pattern.search(led_to) and not pattern.search(came_from):
            return obstacle
    return None


def of_page(signs: PageSigns, *, missing: bool = False) -> Obstacle | None:
    """Whether a page is a wall, by its title, its text and what its scripts and forms are called.

    `missing`: its status says that there is nothing. Where its words say so too, what else it says is a site's ordinary frame.
    """
    title, text = signs.title.lower(), f"{signs.text} {signs.noscript_text}".lower()
    for obstacle, pattern in _TITLES.items():
        if pattern.search(title):
            return obstacle
    if signs.text_characters > WALL_CHARACTERS or (missing and says_missing(signs)):
        return None
    found = _of_words(f"{title}\n{text}", asks=signs.forms > 0)
    if found is not None:
        return found
    markers = _CHALLENGERS.intersection(signs.markers)
    if markers and (signs.text_characters <= SHELL_CHARACTERS or "captcha" in markers):
        return Obstacle.CHALLENGE
    if signs.password_inputs:
        return Obstacle.LOGIN
    for marker, obstacle in _MARKED.items():
        if marker in signs.markers:
            return obstacle
    if signs.script_redirect and signs.text_characters <= SHELL_CHARACTERS:
        return of_redirect("", f"http://x/{signs.script_redirect}")
    return None


def of_text(text: str, *, data: bool, missing: bool = False) -> Obstacle | None:
    """Whether a body without markup speaks of an obstacle. `data`: it is JSON. `missing`: as of a page."""
    lowered = text[:WALL_CHARACTERS].lower()
    if missing and (data or _MISSING_WORDS.search(lowered)):
        return None
    found = _of_words(lowered) if len(text) <= WALL_CHARACTERS else None
    return found or (Obstacle.ERROR_MESSAGE if data and _ERROR_KEYS.search(lowered) else None)


def _of_words(text: str, *, asks: bool = False) -> Obstacle | None:
    for obstacle, pattern in _WORDS.items():
        if pattern.search(text):
            return obstacle
    # A site for adults says so in its foot, too; a gate has something to answer.
    return Obstacle.AGE_GATE if _FOR_ADULTS.search(text) and (asks or _ENTRANCE.search(text)) else None


def runs_scripts_alone(signs: PageSigns) -> bool:
    """Whether the page is a script's shell: what it shows is not in it."""
    return signs.scripts > 0 and signs.text_characters <= SHELL_CHARACTERS


def says_missing(signs: PageSigns) -> bool:
    """Whether the page says in words that there is nothing."""
    return _MISSING_WORDS.search(f"{signs.title} {signs.text}".lower()) is not None


_CHALLENGERS = frozenset(
    (
        "akamai",
        "arkose",
        "aws_waf",
        "captcha",
        "cloudflare",
        "datadome",
        "ddos_guard",
        "imperva",
        "kasada",
        "perimeterx",
        "sucuri",
    )
)
_MARKED = {
    "age_gate": Obstacle.AGE_GATE,
    "geo_block": Obstacle.GEOGRAPHY,
    "paywall": Obstacle.PAYWALL,
    "consent_wall": Obstacle.CONSENT_WALL,
}
_PLACES = {
    Obstacle.LOGIN: re.compile(
        r"(?:^|[/._-])(?:log-?in|sign-?in|signin|wp-login|anmelden|connexion|iniciar-?sesion|accedi|entrar|auth|authorize|sso|"
        r"oauth2?|accounts?|session/new|register|signup|sign-?up)(?:$|[/._?-])"
    ),
    Obstacle.AGE_GATE: re.compile(
        r"(?:^|[/._-])(?:age|adult|mature|nsfw)[-_/]?(?:gate|check|verif\w*|confirm\w*|warning|consent)(?:$|[/._-])"
        r"|over-?18|altersverifikation"
    ),
    Obstacle.CHALLENGE: re.compile(r"captcha|challenge|cdn-cgi|are-you-human|robot-?check|/sorry/|validate-?human"),
    Obstacle.GEOGRAPHY: re.compile(
        r"geo-?(?:block|restrict)\w*|unavailable-in-your|not-available-in|country-?block|region-?block"
    ),
    Obstacle.CONSENT_WALL: re.compile(r"(?:^|[/._-])consent(?:$|[/._-])|cookie-?wall|gdpr"),
    Obstacle.PAYWALL: re.compile(r"paywall|(?:^|[/._-])subscribe(?:$|[/._-])|premium-?only"),
}
_TITLES = {
    Obstacle.CHALLENGE: re.compile(
        r"^(?:just a moment|attention required|access denied|ddos-guard|security check|one more step|please wait\b.*|"
        r"verif(?:y|ying) (?:you are|that you are) human|are you (?:a )?(?:human|robot)|human verification|robot check|"
        r"checking your browser|un momento|einen moment|un instant|incapsula|request rejected|bot verification|client challenge)"
    ),
    Obstacle.LOGIN: re.compile(
        r"^(?:please )?(?:log ?-?in|sign ?-?in|login|anmelden|anmeldung|einloggen|connexion|se connecter|iniciar sesi[oó]n|accedi|"
        r"entrar|inloggen|logga in|zaloguj|войти|вход|登录|登入|ログイン|로그인)\b"
    ),
    Obstacle.AGE_GATE: re.compile(
        r"age (?:check|verification|gate|restricted)|are you (?:over|at least)|altersprüfung"
    ),
}
_WORDS = {
    Obstacle.RATE_LIMITED: re.compile(
        r"rate[ -]?limit|too many requests|quota exceeded|slow down|zu viele anfragen|trop de requêtes|demasiadas solicitudes"
    ),
    Obstacle.CHALLENGE: re.compile(
        r"verify (?:that )?you(?:'re| are) (?:a )?human|checking (?:if the site connection is secure|your browser)|not a robot|"
        r"enable (?:javascript|js) and cookies|unusual traffic|automated (?:access|requests|queries)|"
        r"blocked by (?:the |our )?(?:firewall|security|waf)|web application firewall|request (?:was |has been )?blocked|"
        r"security (?:service|check) to protect|ray id|incident id|support id|access (?:to this \w+ )?(?:is|was|has been)? ?denied|"
        r"ddos protection|performing security verification"
    ),
    Obstacle.AGE_GATE: re.compile(
        r"are you (?:over |at least |older than )?(?:18|21|eighteen)\b|i(?:'| a)m (?:over |at least |older than )?(?:18|21|eighteen)\b|"
        r"(?:must|have to|need to) be (?:over |at least |older than )?(?:18|21|eighteen)\b|age[- ](?:restricted|verification|gate|check)|"
        r"(?:verify|confirm) (?:that you are|your age|my age)|(?:enter|your) date of birth|"
        r"(?:sind sie|bist du|ich bin) (?:über|mindestens|volljährig)|(?:avez-vous|j.ai) (?:plus de )?18 ans|êtes-vous majeur|"
        r"(?:eres|soy) mayor de|sei maggiorenne|вам (?:есть|исполнилось) 18|18歳以上ですか|已满18|만 ?18세 이상"
    ),
    Obstacle.GEOGRAPHY: re.compile(
        r"(?:not|isn.t|un) ?available (?:in|for|from) (?:your|this) (?:country|region|location|territory|area)|"
        r"(?:your|this) (?:country|region|location) (?:is|has been) (?:blocked|restricted|not supported)|geo[- ]?(?:block|restrict)|"
        r"nicht verfügbar in (?:ihrem|deinem) land|in (?:ihrem|deinem) land nicht verfügbar|"
        r"pas disponible dans votre (?:pays|région)|no (?:está )?disponible en (?:su|tu) (?:país|región)"
    ),
    Obstacle.LOGIN: re.compile(
        r"(?:log|sign) ?-?in (?:is required|required|first|to (?:continue|view|see|access|your))|must (?:be )?(?:logged|signed) in|"
        r"(?:please|you (?:must|need to)) (?:log|sign) ?-?in|login required|members[- ]only|for members only|"
        r"(?:bitte|sie müssen) (?:sich )?(?:anmelden|einloggen)|veuillez vous connecter|inicia(?:r)? sesión para"
    ),
    Obstacle.CONSENT_WALL: re.compile(
        r"(?:accept|agree to) (?:all )?(?:the )?(?:cookies|our terms)[^.]{0,60}(?:to continue|to proceed|to view)|before you continue"
    ),
    Obstacle.PAYWALL: re.compile(
        r"subscribe to (?:continue|read|view|unlock)|premium (?:members|content|only)|unlock this"
    ),
    Obstacle.MAINTENANCE: re.compile(
        r"maintenance|temporarily (?:unavailable|offline|down)|be (?:right )?back (?:soon|shortly)|try again (?:later|in a)|"
        r"service unavailable|error establishing a database|internal server error|bad gateway|gateway time-?out|wartungsarbeiten|"
        r"overloaded|at capacity"
    ),
}
"""The first that is found counts."""
_FOR_ADULTS = re.compile(r"\b(?:18|21) ?(?:\+|years|or older|and over|or over)|adults? only|mature content|nsfw")
_ENTRANCE = re.compile(r"\b(?:enter|leave|exit|continue|proceed|yes|agree)\b")
_ERROR_KEYS = re.compile(
    r"[\"'](?:error|errors|error_code|errorcode|error_message|errormessage|exception|fault|message|msg|detail|reason|status|code|success)"
    r"[\"']\s*:"
)
_MISSING_WORDS = re.compile(
    r"\b404\b|\b410\b|not found|no longer (?:exist|available|here)|(?:does|do)(?: not|n.t) exist|no ?such ?(?:key|file|page|object|bucket)|"
    r"(?:has|have|was|were) (?:been )?(?:removed|deleted|taken down)|can.?(?:not|t) (?:be found|find)|could ?n.t find|unavailable|"
    r"\bgone\b|page (?:is )?missing|nothing (?:here|found)|"
    r"nicht gefunden|existiert nicht|gelöscht|entfernt|introuvable|n.existe (?:pas|plus)|supprimé|no (?:se )?(?:encontr|existe)|"
    r"eliminad|non trovat|rimoss|não (?:encontrad|existe)|removid|niet gevonden|verwijderd|hittades inte|nie znaleziono|"
    r"не найден|удален|не существует|見つかりません|找不到|不存在|已删除|찾을 수 없"
)
