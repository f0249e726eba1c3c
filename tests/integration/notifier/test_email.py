"""Demands by e-mail to a real SMTP server, and a mailbox-only host that answers on the page."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from typing import Any

import aiohttp
from aiosmtpd.controller import Controller

from tests.notifier_world import World, open_world, picture, serve_app

LINK = re.compile(r"https://takedown\.example(/host/d/[A-Za-z0-9_-]+)")


class Mailbox:
    """What an SMTP server took. `refuse`: recipients it answers with this line instead."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: list[str] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(message)
        return self.answers.pop(0) if self.answers else "250 taken"


@asynccontextmanager
async def mail_world(conninfo: str, *names: str) -> AsyncIterator[tuple[World, Mailbox]]:
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=0)
    controller.port = free_port()
    controller.start()
    try:
        smtp: dict[str, Any] = {"smtp_host": "127.0.0.1", "smtp_port": controller.port, "smtp_starttls": False}
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
        assert url not in text
        assert url.replace("http", "hxxp", 1) in text
        link = LINK.search(text)
        assert link is not None

        async def delivered() -> bool:
            return "demand.delivered" in await world.history(takedown)

        await world.until(delivered)
        async with serve_app(world.runtime, world.service) as base, aiohttp.ClientSession() as session:
            before = await world.history(takedown)
            async with session.get(base + link[1]) as answer:
                html = await answer.text()
                assert answer.status == 200
                assert answer.headers["cache-control"] == "no-store"
                assert answer.headers["referrer-policy"] == "no-referrer"
                assert "noindex" in answer.headers["x-robots-tag"]
                assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert url not in html, "no live link"
            assert "<a " not in html
            assert "<script" not in html
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


async def test_a_deferred_mail_goes_again_and_a_refused_one_climbs(fresh_database: str) -> None:
    async with mail_world(fresh_database, "site", "upstream") as (world, mailbox):
        site, upstream = world.hosts["site"], world.hosts["upstream"]
        await world.know_hosts(site={**BY_MAIL, "next_rung": "upstream"})
        await world.outbound()
        mailbox.answers = ["451 later", "550 no such mailbox"]
        body = picture(1)
        await world.match(await world.confirmed(body), site.show("/m/1.png", body))
        await world.until(lambda: upstream.received, what="the next rung")
        assert len(mailbox.mails) == 2
        assert mailbox.mails[0]["Message-ID"] == mailbox.mails[1]["Message-ID"]
        rows = await world.rows("SELECT outcome, status FROM notifier.attempts WHERE channel = 'email' ORDER BY number")
        assert [(row["outcome"], row["status"]) for row in rows] == [("transient", 451), ("permanent", 550)]
