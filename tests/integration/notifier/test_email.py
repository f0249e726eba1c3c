"""Demands by e-mail to a real SMTP server, and a mailbox-only host that answers on the page."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import REGISTRY

from services.notifier.channels import email as email_channel
from services.notifier.channels.result import AttemptOutcome
from tests.notifier_world import World, open_world, picture, serve_app

LINK = re.compile(r"https://takedown\.example(/host/d/[A-Za-z0-9_-]+)")


class Mailbox:
    """What an SMTP server took. `answers` are given to a message, `says` to a command by its name, one after the other; the last
    of these stays."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: list[str] = []
        self.says: dict[str, list[str]] = {}

    def _word(self, command: str) -> str | None:
        words = self.says.get(command, [])
        return words.pop(0) if len(words) > 1 else (words[0] if words else None)

    async def handle_EHLO(
        self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        refused = self._word("EHLO")
        if refused is not None:
            return [refused]
        session.host_name = hostname
        return responses

    async def handle_HELO(self, server: Any, session: Any, envelope: Any, hostname: str) -> str:
        session.host_name = hostname
        return self._word("EHLO") or "250 OK"

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        refused = self._word("MAIL")
        if refused is None:
            envelope.mail_from = address
        return refused or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        refused = self._word("RCPT")
        if refused is None:
            envelope.rcpt_tos.append(address)
        return refused or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return self.answers.pop(0) if self.answers else "250 taken"


@asynccontextmanager
async def mail_world(
    conninfo: str, *names: str, tls: ssl.SSLContext | None = None, **given: Any
) -> AsyncIterator[tuple[World, Mailbox]]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=0, ssl_context=tls)
    controller.port = free_port()
    controller.start()
    try:
        smtp: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": controller.port, "smtp_tls": "none"} | given
        async with open_world(conninfo, *names, smtp_from="demands@helpline.example", **smtp) as world:
            yield world, mailbox
    finally:
        controller.stop()


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


BY_MAIL = {"webhook_url": "", "webhook_secrets": "", "email": "abuse@site.test"}


def judge_text(text: str, url: str) -> None:
    """A mail names the URL as words: no picture, no link."""
    assert "image/png" not in text
    assert url not in text
    assert url.replace("http", "hxxp", 1) in text


async def judge_page(answer: aiohttp.ClientResponse, url: str) -> None:
    """The page behind the mail's link: kept nowhere, passed on nowhere, without a link or a script."""
    html = await answer.text()
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in answer.headers["x-robots-tag"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert url not in html, "no live link"
    assert "<a " not in html
    assert "<script" not in html


async def test_a_mailbox_only_host_is_asked_by_mail_and_answers_on_the_page(fresh_database: str) -> None:
    async with mail_world(fresh_database, "site") as (world, mailbox):
        site = world.hosts["site"]
        await world.know_hosts(site=BY_MAIL)
        await world.outbound()
        body = picture(1)
        url = site.show("/m/1.png", body)
        takedown = await world.match(await world.confirmed(body), url)
        await world.until(lambda: mailbox.mails, what="the mail")
        mail = mailbox.mails[0]
        text = mail.get_content()
        message_id = await world.value("SELECT message_id FROM notifier.messages")
        assert mail["Message-ID"] == f"<{message_id}@helpline.example>"
        assert mail.get_content_type() == "text/plain"
        assert mail["To"] == "abuse@site.test"
        assert mail["Auto-Submitted"] is None, "ticket systems drop what says that a machine sent it"
        assert "OOF" in mail["X-Auto-Response-Suppress"]
        assert mail["Reply-To"] == world.runtime.settings.organisation_contact
        assert mail["Reply-To"] != mail["From"]
        demand = await world.value("SELECT demand_id FROM notifier.demands")
        assert str(demand) in mail["Subject"]
        assert mail["Subject"].startswith(world.runtime.settings.organisation_name)
        judge_text(text, url)
        link = LINK.search(text)
        assert link is not None

        async def delivered() -> bool:
            return "demand.delivered" in await world.history(takedown)

        await world.until(delivered)
        async with serve_app(world.runtime, world.service) as base, aiohttp.ClientSession() as session:
            before = await world.history(takedown)
            async with session.get(base + link[1]) as answer:
                await judge_page(answer, url)
            assert await world.history(takedown) == before, "a GET changes nothing"
            async with session.post(base + link[1], data={"text": "no choice"}) as answer:
                assert answer.status == 422
            assert await world.history(takedown) == before
            site.remove("/m/1.png", 404)
            form = {"choice": "removal-deleted", "text": "<script>alert(1)</script>"}
            for _ in range(2):
                async with session.post(base + link[1], data=form) as answer:
                    assert answer.status == 200
                    assert "<script>" not in await answer.text()
            assert (await world.history(takedown)).count("host.removal") == 1, "clicking twice is one answer"
            async with session.get(base + "/host/d/unknown-token") as answer:
                assert answer.status == 404
        await world.until_state(takedown, "removed")
        await world.until(lambda: len(mailbox.mails) == 2, what="the closing mail")
        threads = [one["References"].split() for one in mailbox.mails]
        assert threads[1] == [*threads[0], mail["Message-ID"]], "one thread, begun by the first"


async def test_a_deferred_mail_goes_again_and_a_refused_one_climbs(fresh_database: str) -> None:
    async with mail_world(fresh_database, "site", "upstream") as (world, mailbox):
        site, upstream = world.hosts["site"], world.hosts["upstream"]
        await world.know_hosts(site={**BY_MAIL, "next_rung": "upstream"})
        await world.outbound()
        mailbox.answers = ["451 later", "550 5.1.1 no such mailbox"]
        body = picture(1)
        await world.match(await world.confirmed(body), site.show("/m/1.png", body))
        await world.until(lambda: upstream.received, what="the next rung")
        assert len(mailbox.mails) == 2
        assert mailbox.mails[0]["Message-ID"] == mailbox.mails[1]["Message-ID"]
        rows = await world.rows("SELECT outcome, status FROM notifier.attempts WHERE channel = 'email' ORDER BY number")
        assert [(row["outcome"], row["status"]) for row in rows] == [("transient", 451), ("permanent", 550)]


def refusing_now() -> float | None:
    return REGISTRY.get_sample_value("takedown_mail_server_refusing")


RECIPIENT_REFUSED = [
    ("RCPT", "550 no such mailbox"),
    ("RCPT", "550 5.1.1 unknown"),
    ("RCPT", "553 mailbox name not allowed"),
    ("RCPT", "551 not here"),
    ("RCPT", "550 5.2.1 disabled"),
    ("RCPT", "550 5.4.1 recipient address rejected"),
    ("RCPT", "556 5.1.10 takes no mail"),
    ("DATA", "550 5.1.1 unknown"),
]
OURS = [
    ("EHLO", "550 go away"),
    ("EHLO", "554 5.7.1 not you"),
    ("MAIL", "550 5.1.8 bad sender"),
    ("MAIL", "553 5.7.1 sender refused"),
    ("MAIL", "530 5.7.0 authentication required"),
    ("MAIL", "552 5.2.2 over your quota"),
    ("MAIL", "550 no such mailbox"),
    ("RCPT", "554 5.7.1 relay access denied"),
    ("RCPT", "550 5.7.26 unauthenticated"),
    ("RCPT", "550 5.1.7 bad sender"),
    ("RCPT", "530 authenticate first"),
    ("RCPT", "452 4.3.1 no space"),
    ("DATA", "554 5.7.1 looks like spam"),
    ("DATA", "550 rejected"),
    ("DATA", "552 5.3.4 too big"),
    ("DATA", "451 4.3.0 later"),
]


@asynccontextmanager
async def refusing(command: str, line: str) -> AsyncIterator[email_channel.SmtpRelay]:
    """A mail server that answers this command with this line."""
    mailbox = Mailbox()
    if command == "DATA":
        mailbox.answers = [line]
    else:
        mailbox.says[command] = [line]
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        yield email_channel.SmtpRelay(
            host="127.0.0.1",
            port=controller.port,
            tls="none",
            username=None,
            password=None,
            sender="demands@helpline.example",
        )
    finally:
        controller.stop()


def a_mail(server: email_channel.SmtpRelay, reply_to: str = "desk@helpline.example") -> EmailMessage:
    return email_channel.compose(
        server=server,
        sender_name="Helpline",
        recipient="abuse@site.test",
        subject="A subject",
        text="A text",
        message_id=UUID(int=1),
        thread=None,
        reply_to=reply_to,
        now=datetime(2026, 11, 24, tzinfo=UTC),
    )


@pytest.mark.parametrize(("command", "line"), RECIPIENT_REFUSED)
async def test_a_refusal_of_the_recipient_is_permanent(command: str, line: str) -> None:
    async with refusing(command, line) as server:
        attempted = await email_channel.hand_in(server, a_mail(server), timeout_seconds=10)
    assert (attempted.outcome, attempted.own_fault) == (AttemptOutcome.PERMANENT, False)
    assert attempted.status == int(line[:3])


@pytest.mark.parametrize(("command", "line"), OURS)
async def test_what_is_refused_for_our_sake_is_our_fault_and_passes(command: str, line: str) -> None:
    async with refusing(command, line) as server:
        attempted = await email_channel.hand_in(server, a_mail(server), timeout_seconds=10)
    assert (attempted.outcome, attempted.own_fault) == (AttemptOutcome.TRANSIENT, True)


@pytest.mark.parametrize("line", ["552 5.2.2 mailbox full", "552 too much", "450 4.2.1 busy", "452 4.2.2 full"])
async def test_a_full_or_busy_mailbox_passes(line: str) -> None:
    async with refusing("RCPT", line) as server:
        attempted = await email_channel.hand_in(server, a_mail(server), timeout_seconds=10)
    assert (attempted.outcome, attempted.own_fault) == (AttemptOutcome.TRANSIENT, False)


@pytest.mark.parametrize(
    "banner", [b"554 5.3.2 no service here\r\n", b"421 busy\r\n", b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"]
)
async def test_a_banner_that_refuses_us_is_our_fault(banner: bytes) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(banner)
        writer.close()

    listening = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with listening:
        server = email_channel.SmtpRelay(
            host="127.0.0.1",
            port=listening.sockets[0].getsockname()[1],
            tls="none",
            username=None,
            password=None,
            sender="demands@helpline.example",
        )
        attempted = await email_channel.hand_in(server, a_mail(server), timeout_seconds=10)
    assert (attempted.outcome, attempted.own_fault) == (AttemptOutcome.TRANSIENT, True)


@pytest.mark.parametrize("contact", ["+44 20 7946 0000", "", "https://helpline.example/contact", "a@b@c"])
async def test_a_contact_that_is_no_address_is_no_reply_to(contact: str) -> None:
    server = email_channel.SmtpRelay(
        host="127.0.0.1", port=25, tls="none", username=None, password=None, sender="demands@helpline.example"
    )
    assert a_mail(server, contact)["Reply-To"] is None


async def test_our_own_mail_server_refusing_us_is_an_alarm_and_no_climb(fresh_database: str) -> None:
    async with mail_world(fresh_database, "site", "upstream") as (world, mailbox):
        site, upstream = world.hosts["site"], world.hosts["upstream"]
        await world.know_hosts(site={**BY_MAIL, "next_rung": "upstream"})
        await world.outbound()
        mailbox.says["MAIL"] = ["550 5.7.1 sender refused"]
        body = picture(1)
        takedown = await world.match(await world.confirmed(body), site.show("/m/1.png", body))

        async def tried() -> bool:
            return (await world.history(takedown)).count("attempt.transient") >= 2

        await world.until(tried, what="two attempts")
        assert refusing_now() == 1
        row = (await world.rows("SELECT outcome, status, detail FROM notifier.attempts ORDER BY number"))[0]
        assert (row["outcome"], row["status"], row["detail"]) == ("transient", 550, "mail_server_refused")
        mailbox.says.clear()
        await world.until(lambda: mailbox.mails, what="the mail")
        await world.until(lambda: refusing_now() == 0, what="the end of the alarm")
        assert not upstream.received
        assert await world.rows("SELECT 1 FROM notifier.tasks") == []


async def test_tls_from_the_first_byte(fresh_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = tmp_path / "cert.pem"
    key = self_signed(certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with mail_world(fresh_database, "site", tls=context, smtp_tls="implicit") as (world, mailbox):
        site = world.hosts["site"]
        await world.know_hosts(site=BY_MAIL)
        await world.outbound()
        body = picture(1)
        await world.match(await world.confirmed(body), site.show("/m/1.png", body))
        await world.until(lambda: mailbox.mails, what="the mail")


def self_signed(certificate: Path) -> Path:
    """A certificate of 127.0.0.1 in this file; gives the file of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    written = certificate.with_suffix(".key")
    written.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return written
