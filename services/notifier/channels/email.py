"""E-mail: plain text through the operator's own mail server (RFC 5321, RFC 5322). A 250 is *delivered* until a bounce.

The same message keeps its Message-ID over its attempts, so that a mailbox that got it twice can tell.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from uuid import UUID

import aiosmtplib

from services.notifier.channels.result import Attempted, AttemptOutcome
from shared.process.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpRelay:
    """Where mail is handed in. `starttls`: required when True, never tried when False."""

    host: str
    port: int
    starttls: bool
    username: str | None
    password: str | None
    sender: str

    @classmethod
    def of(cls, settings: Settings) -> SmtpRelay | None:
        """None: no mail server is set, so no e-mail is sent."""
        if settings.smtp_host is None:
            return None
        return cls(
            host=settings.smtp_host,
            port=settings.smtp_port,
            starttls=settings.smtp_starttls,
            username=settings.smtp_username,
            password=settings.smtp_password,
            sender=settings.smtp_from,
        )


def compose(
    *, server: SmtpRelay, sender_name: str, recipient: str, subject: str, text: str, message_id: UUID, now: datetime
) -> EmailMessage:
    """The mail. Raises ValueError or email.errors.MessageError where an address or a header is not one line of mail."""
    _, _, domain = server.sender.rpartition("@")
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name=sender_name, addr_spec=server.sender)
    message["To"] = Address(addr_spec=recipient)
    message["Subject"] = subject
    message["Date"] = now
    message["Message-ID"] = f"<{message_id}@{domain or 'localhost'}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no vacation notices in answer
    message.set_content(text, charset="utf-8")
    return message


async def send(server: SmtpRelay, message: EmailMessage, *, timeout_seconds: float) -> Attempted:
    """One attempt: 5xx permanent, everything else transient. The whole conversation has `timeout_seconds`."""
    started = time.monotonic()
    outcome, reason, status = await _hand_in(server, message, timeout_seconds)
    return Attempted(outcome=outcome, reason=reason, status=status, elapsed_seconds=time.monotonic() - started)


async def _hand_in(
    server: SmtpRelay, message: EmailMessage, timeout_seconds: float
) -> tuple[AttemptOutcome, str, int | None]:
    try:
        async with asyncio.timeout(timeout_seconds):
            await aiosmtplib.send(
                message,
                hostname=server.host,
                port=server.port,
                local_hostname=server.sender.rpartition("@")[2] or "localhost",  # else the machine's name is looked up
                start_tls=server.starttls,
                username=server.username,
                password=server.password,
                timeout=timeout_seconds,
            )
    except aiosmtplib.SMTPAuthenticationError as error:
        # Our own credentials: no fault of the recipient, and mended by the operator.
        return AttemptOutcome.TRANSIENT, "mail_server_login", error.code
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _refused(error.recipients[0].code)
    except aiosmtplib.SMTPResponseException as error:
        return _refused(error.code)
    except (TimeoutError, aiosmtplib.SMTPTimeoutError):
        return AttemptOutcome.TRANSIENT, "timed_out", None
    except (aiosmtplib.SMTPException, OSError):
        return AttemptOutcome.TRANSIENT, "mail_server_unavailable", None
    return AttemptOutcome.ACCEPTED, "accepted", 250


def _refused(code: int) -> tuple[AttemptOutcome, str, int | None]:
    if 500 <= code < 600:
        return AttemptOutcome.PERMANENT, "mail_refused", code
    return AttemptOutcome.TRANSIENT, "mail_deferred", code
