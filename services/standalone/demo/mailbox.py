"""A mail server that takes everything, and a host whose staff has a mailbox and a browser and nothing else."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from services.standalone.demo.sites import Received, Site

_LINK = re.compile(r"https?://\S+/host/d/[A-Za-z0-9_-]+")
_ADDRESS = re.compile(r"hxxps?://\S+")


@dataclass(eq=False, kw_only=True)
class MailboxOnly(Site):
    """Reads its mail, follows the link, removes, and says so on the page it found there."""

    open_and_answer: Callable[[str], Awaitable[None]] | None = None
    """Opens the page at a link and answers there as a browser would."""
    mails: list[EmailMessage] = field(default_factory=list)

    async def read(self, mail: EmailMessage) -> None:
        """A mail came."""
        self.mails.append(mail)
        text = mail.get_content()
        found = _LINK.search(text)
        kind = "demand.issued" if found is not None else "other"
        self.received.append(
            Received(
                type=kind,
                message_id=str(mail["Message-ID"]),
                demand_id=None,
                url=None,
                page_url=None,
                token=None,
            )
        )
        if found is None or self.open_and_answer is None:
            return
        for defanged in _ADDRESS.findall(text):
            name = defanged.split("/")[2]
            if name == self.domain:
                self.disabled.add("/" + defanged.split("/", 3)[3])
        await self.open_and_answer(found.group())


class DemoMailServer:
    """An SMTP server on loopback that hands each mail to the host whose mailbox it is."""

    def __init__(self, mailboxes: dict[str, MailboxOnly]) -> None:
        self._mailboxes = mailboxes
        self.port = 0
        self.host = "127.0.1.1"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(self, hostname="mail.test", enable_SMTPUTF8=True), self.host, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """aiosmtpd's hook for a whole mail."""
        content: Any = envelope.content
        mail = email.message_from_bytes(content, policy=email.policy.default)
        for recipient in envelope.rcpt_tos:
            site = self._mailboxes.get(recipient)
            if site is None:
                return "550 no such mailbox"
            site.soon(site.read(mail))
        return "250 OK"
