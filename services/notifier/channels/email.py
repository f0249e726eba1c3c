"""E-mail: plain text through the operator's own mail server (RFC 5321, RFC 5322). A 250 is *delivered* until a bounce.

The same message keeps its Message-ID over its attempts, so that a mailbox that got it twice can tell. What is sent to one recipient
about one matter is one thread (`References`).
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal
from uuid import UUID

import aiosmtplib

from services.notifier.channels.result import Attempted, AttemptOutcome
from services.notifier.notices.message import Thread
from shared.process.settings import Settings

SUPPRESSED_ANSWERS = "DR, RN, NRN, OOF, AutoReply"
"""Exchange's receipts and automatic answers (MS-OXCMAIL, X-Auto-Response-Suppress); not NDR: a bounce has to be read."""
_ENHANCED = re.compile(r"\s*[245]\.(\d{1,3})\.(\d{1,3})(?!\S)")
"""RFC 3463: class, subject, detail, at the beginning of a reply's text."""
_OF_THE_RECIPIENT = frozenset({550, 551, 553, 556})
"""RFC 5321, 4.2.3 and RFC 7504: replies to RCPT that say something of the mailbox, where no enhanced code says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpRelay:
    """Where mail is handed in, and how the way there is kept: required when `starttls` or `implicit`, never tried when `none`."""

    host: str
    port: int
    tls: Literal["starttls", "implicit", "none"]
    username: str | None
    password: str | None
    sender: str

    @classmethod
    def of(cls, settings: Settings) -> SmtpRelay | None:
        """The mail server of these settings; None: none is set, so no e-mail is sent."""
        if settings.smtp_host is None:
            return None
        return cls(
            host=settings.smtp_host,
            port=settings.smtp_port or (465 if settings.smtp_tls == "implicit" else 587),
            tls=settings.smtp_tls,
            username=settings.smtp_username,
            password=settings.smtp_password,
            sender=settings.smtp_from,
        )


def compose(
    *,
    server: SmtpRelay,
    sender_name: str,
    recipient: str,
    subject: str,
    text: str,
    message_id: UUID,
    thread: Thread | None,
    reply_to: str,
    now: datetime,
) -> EmailMessage:
    """The mail. `reply_to`: the organisation's desk; where it is no address, answers go to the sender.

    There is no `Auto-Submitted`: ticket systems drop what says that a machine sent it (RFC 3834), and a demand has to be read.
    Raises ValueError or email.errors.MessageError where an address or a header is not one line of mail.
    """
    domain = server.sender.rpartition("@")[2] or "localhost"
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(display_name=sender_name, addr_spec=server.sender)
    message["To"] = Address(addr_spec=recipient)
    desk = _address(reply_to)
    if desk is not None:
        message["Reply-To"] = desk
    message["Subject"] = subject
    message["Date"] = now
    message["Message-ID"] = f"<{message_id}@{domain}>"
    if thread is not None:
        # The thread's own id first, which is no message's: all that was sent hangs together also where the first one was lost.
        before = [] if thread.first_message == message_id else [thread.first_message]
        message["References"] = " ".join(f"<{one}@{domain}>" for one in (thread.thread_id, *before))
    message["X-Auto-Response-Suppress"] = SUPPRESSED_ANSWERS
    message.set_content(text, charset="utf-8")
    return message


def _address(text: str) -> Address | None:
    try:
        return Address(addr_spec=text)
    except (ValueError, MessageError, IndexError):  # a telephone number, a page; the parser stumbles over an empty one
        return None


async def hand_in(server: SmtpRelay, message: EmailMessage, *, timeout_seconds: float) -> Attempted:
    """Make one attempt: hand a mail to our own mail server. The whole conversation has `timeout_seconds`.

    Permanent is a refusal of the recipient alone. Whatever else our own mail server refuses (us, our sender, our login, our quota,
    the message, by its banner or by its silence) is transient and `own_fault`.
    """
    started = time.monotonic()
    attempted = await _hand_in(server, message, timeout_seconds)
    outcome, reason, status, own_fault = attempted
    return Attempted(
        outcome=outcome,
        reason=reason,
        status=status,
        own_fault=own_fault,
        elapsed_seconds=time.monotonic() - started,
    )


_Ended = tuple[AttemptOutcome, str, int | None, bool]


async def _hand_in(server: SmtpRelay, message: EmailMessage, timeout_seconds: float) -> _Ended:
    try:
        async with asyncio.timeout(timeout_seconds):
            await aiosmtplib.send(
                message,
                sender=server.sender,
                hostname=server.host,
                port=server.port,
                local_hostname=server.sender.rpartition("@")[2] or "localhost",  # else the machine's name is looked up
                use_tls=server.tls == "implicit",
                start_tls=server.tls == "starttls",
                username=server.username,
                password=server.password,
                timeout=timeout_seconds,
            )
    except aiosmtplib.SMTPRecipientsRefused as error:
        return _answered(error.recipients[0], to_recipient=True)
    except aiosmtplib.SMTPAuthenticationError as error:
        return _ours("mail_server_login", error.code)
    except aiosmtplib.SMTPDataError as error:
        return _answered(error, to_recipient=False)
    except aiosmtplib.SMTPResponseException as error:  # banner, EHLO, STARTTLS, sender
        return _ours("mail_server_refused", error.code)
    except (TimeoutError, aiosmtplib.SMTPTimeoutError):
        return _ours("timed_out", None)
    except (aiosmtplib.SMTPException, OSError):
        return _ours("mail_server_unavailable", None)
    return AttemptOutcome.ACCEPTED, "accepted", 250, False


def _answered(error: aiosmtplib.SMTPResponseException, *, to_recipient: bool) -> _Ended:
    """The result of a reply to RCPT, or to the message itself (where a server may only then say what is wrong with the one recipient)."""
    if not concerns_recipient(error.code, error.message, to_recipient=to_recipient):
        return _ours("mail_server_refused", error.code)
    if 500 <= error.code < 600 and not is_full(error.message) and error.code != 552:
        return AttemptOutcome.PERMANENT, "mail_refused", error.code, False
    return AttemptOutcome.TRANSIENT, "mail_deferred", error.code, False


def concerns_recipient(code: int, text: str, *, to_recipient: bool) -> bool:
    """Whether a refusal is of the recipient, not of us. `to_recipient`: it was the reply to RCPT.

    By the enhanced code (RFC 3463) where there is one: the recipient's address (5.1.x, not the sender's 5.1.7 and 5.1.8), its
    mailbox (5.2.x, not a message that is too long) or, in reply to RCPT, the way there (5.4.x). By the code alone only in reply to RCPT.
    """
    found = _ENHANCED.match(text)
    subject, detail = (int(found[1]), int(found[2])) if found else (0, 0)
    match subject:
        case 0:
            return to_recipient and (code in _OF_THE_RECIPIENT or code in (450, 552))
        case 1:
            return detail not in (7, 8)
        case 2:
            return detail != 3
        case 4:
            return to_recipient
        case _:
            return False


def is_full(text: str) -> bool:
    """Whether the recipient's mailbox is full (5.2.2): that passes."""
    found = _ENHANCED.match(text)
    return found is not None and (int(found[1]), int(found[2])) == (2, 2)


def _ours(reason: str, status: int | None) -> _Ended:
    return AttemptOutcome.TRANSIENT, reason, status, True
