"""Makes one attempt by whichever channel: what the message worker and a test of a host have in common."""

from __future__ import annotations

from email.errors import MessageError
from uuid import UUID

from services.notifier.channels import email, webhook
from services.notifier.channels.result import Attempted, AttemptOutcome
from services.notifier.directory.store import Channel, WebhookEndpoint
from services.notifier.notices.render import RenderedMessage
from shared.service.runtime import OutboundRuntime


async def send_rendered(
    runtime: OutboundRuntime, channel: Channel, endpoint: WebhookEndpoint, letter: RenderedMessage, *, message_id: UUID
) -> Attempted:
    """Send a message once. The result says how it ended, whatever that was."""
    policy = runtime.policy
    if channel == "webhook":
        if endpoint.webhook_url is None:
            return Attempted(outcome=AttemptOutcome.PERMANENT, reason="no_webhook")
        return await webhook.post_signed(
            runtime.webhooks,
            url=endpoint.webhook_url,
            secrets=endpoint.secrets,
            message_id=message_id,
            body=letter.body,
            now=runtime.clock(),
            timeout_seconds=policy.webhook_timeout_seconds,
            max_answer_bytes=policy.webhook_max_answer_bytes,
        )
    server = email.SmtpRelay.of(runtime.settings)
    if server is None or endpoint.email is None:
        return Attempted(outcome=AttemptOutcome.PERMANENT, reason="no_mail")
    try:
        mail = email.compose(
            server=server,
            sender_name=runtime.settings.organisation_name,
            recipient=endpoint.email,
            subject=letter.mail.subject,
            text=letter.mail.text,
            message_id=message_id,
            thread=letter.thread,
            reply_to=runtime.settings.organisation_contact,
            now=runtime.clock(),
        )
    except (ValueError, MessageError):  # an address from before addresses were checked
        return Attempted(outcome=AttemptOutcome.PERMANENT, reason="bad_address")
    return await email.hand_in(server, mail, timeout_seconds=policy.webhook_timeout_seconds)
