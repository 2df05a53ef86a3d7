"""Delivery of alerts: signed webhooks and e-mail, each notice until it is taken or a day has passed in vain."""

import asyncio
import hashlib
import logging
import smtplib
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

import aiohttp
import msgspec
from standardwebhooks import Webhook

from entrepot.kernel import clock
from entrepot.kernel.db.database import Database
from entrepot.kernel.monitor import store
from entrepot.kernel.monitor.model import Notice
from entrepot.kernel.monitor.rules import RULES
from entrepot.kernel.settings import Settings

LOG = logging.getLogger("entrepot.monitor")
PATIENCE = 10.0
MOST_ATTEMPTS = 30  # within about a day
MOST_AT_ONCE = 100
MEND = {rule.name: rule.mend for rule in RULES}


class Undelivered(Exception):
    """The other side did not take it."""


def targets(settings: Settings, channels: tuple[str, ...]) -> Iterator[tuple[str, str, bytes]]:
    """Everybody who is told by one of these channels: channel, address, and the address as the database knows it."""
    for channel, addresses in (("webhook", settings.alert_webhooks), ("email", settings.alert_emails)):
        if channel in channels:
            for address in addresses:
                yield channel, address, hashlib.sha256(address.encode()).digest()


async def deliver(database: Database, settings: Settings) -> int:
    """Sends what is due; answers how many were taken. A notice that fails is due again later.

    Whoever did not take one is not tried with the next: the others are not to wait for them again and again.
    """
    known = {(channel, key): address for channel, address, key in targets(settings, ("webhook", "email"))}
    taken, failing = 0, set[bytes]()
    for _ in range(MOST_AT_ONCE):
        async with database.write() as db:
            row = await store.claim(db, failing)
            if row is None:
                break
            notice = await store.notice_of(db, row)
        address = known.get((notice.channel, notice.target))
        error = "it is no longer in the settings" if address is None else await _attempt(settings, notice, address)
        async with database.write() as db:
            if error is None:
                await store.sent(db, notice)
                taken += 1
            else:
                is_over = address is None or notice.attempts >= MOST_ATTEMPTS
                await store.failed(db, notice, error, is_over=is_over)
                if address is not None:
                    failing.add(notice.target)
    return taken


async def _attempt(settings: Settings, notice: Notice, address: str) -> str | None:
    """What went wrong, if anything did. The address is not told, as it may hold a secret."""
    try:
        async with asyncio.timeout(2 * PATIENCE):
            if notice.channel == "webhook":
                await post(settings, notice, address)
            else:
                await asyncio.to_thread(mail, settings, notice, address)
    except (Undelivered, aiohttp.ClientError, smtplib.SMTPException, OSError, TimeoutError, ValueError) as failed:
        LOG.warning("a notice by %s was not taken: %s", notice.channel, type(failed).__name__)
        return f"{type(failed).__name__}: {failed if isinstance(failed, Undelivered) else ''}".rstrip(": ")
    return None


async def post(settings: Settings, notice: Notice, url: str) -> None:
    """A webhook as standardwebhooks.com says. Its id is the notice's, so that a repeat is recognised."""
    body = msgspec.json.encode({"type": f"alert.{notice.event}", "timestamp": clock.now(), "data": notice.incident})
    name, now = f"msg_{notice.id.hex}", clock.now()
    signature = Webhook(settings.alert_webhook_secret).sign(name, now, body.decode())
    headers = {
        "content-type": "application/json",
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }
    patience = aiohttp.ClientTimeout(total=PATIENCE)
    async with (
        aiohttp.ClientSession(timeout=patience) as session,
        session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
    ):
        if not 200 <= answer.status < 300:
            raise Undelivered(f"it answered {answer.status}")


def letter(settings: Settings, notice: Notice, to: str) -> EmailMessage:
    """The mail."""
    incident = notice.incident
    what = f"{incident.rule} {incident.subject}".strip()
    made = EmailMessage()
    made["From"], made["To"] = settings.alert_sender, to
    made["Subject"] = f"[entrepot] {notice.event}: {what}".replace("\n", " ")
    made["Message-ID"] = f"<{notice.id}@entrepot>"
    made["Date"] = clock.now()
    made.set_content(
        f"{what}: {incident.told}\n\nmeasured {incident.value:g}, and may be {incident.threshold:g}\n"
        f"since {incident.began_at:%Y-%m-%d %H:%M:%S} UTC\n"
        + (f"until {incident.resolved_at:%Y-%m-%d %H:%M:%S} UTC\n" if incident.resolved_at else "")
        + f"\nwhat to do: {MEND.get(incident.rule, 'entrepot doctor')}\n"
    )
    return made


def mail(settings: Settings, notice: Notice, to: str) -> None:
    """Hands it to the mail server, encrypted where that can be; a password goes over TLS or not at all."""
    server = urlsplit(settings.smtp_url)
    host, is_tls = server.hostname or "localhost", server.scheme == "smtps"
    context = ssl.create_default_context()
    opened = (
        smtplib.SMTP_SSL(host, server.port or 465, timeout=PATIENCE, context=context)
        if is_tls
        else smtplib.SMTP(host, server.port or 25, timeout=PATIENCE)
    )
    with opened as connection:
        connection.ehlo()
        if not is_tls and connection.has_extn("starttls"):
            connection.starttls(context=context)
            is_tls = True
        if server.username:
            if not is_tls:
                raise Undelivered("the mail server offers no TLS, and a password is set")
            connection.login(unquote(server.username), unquote(server.password or ""))
        connection.send_message(letter(settings, notice, to))
