"""A house that is watched: its alerts go to a webhook and to a mail server that run here."""

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from aiohttp import web
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as Mailbox
from standardwebhooks import Webhook

from entrepot.kernel.app import Apps
from entrepot.kernel.monitor.evaluate import evaluate
from entrepot.kernel.monitor.rules import RULES
from entrepot.kernel.monitor.statements import Statements
from entrepot.kernel.settings import AlertSettings
from entrepot.main import House
from tests.conftest import TestDatabase, free_port, settings_for

SECRET = "whsec_" + base64.b64encode(b"w" * 32).decode()


class Letters(Mailbox):
    """Keeps what is delivered."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[Message] = []

    def handle_message(self, message: Message) -> None:
        self.all.append(message)


@dataclass
class Watch:
    """The house, and what it told whom."""

    house: House
    posts: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    letters: Letters = field(default_factory=Letters)
    answers: list[int] = field(default_factory=list)
    statements: Statements = field(default_factory=Statements)

    async def look(self) -> None:
        house = self.house
        await evaluate(house.database, house.settings, Apps(house.apps), house.chains, self.statements)

    async def take(self, request: web.Request) -> web.Response:
        """A webhook's other side; it refuses with the statuses that `answers` still holds."""
        told = Webhook(SECRET).verify(await request.read(), {k.lower(): v for k, v in request.headers.items()})
        self.ids.append(request.headers["webhook-id"])
        status = self.answers.pop(0) if self.answers else 204
        if status == 204:
            self.posts.append(told)
        return web.Response(status=status)

    def told(self, rule: str) -> list[str]:
        """What was told of a rule by webhook, in order; the mails must say the same."""
        posted = [each["type"].removeprefix("alert.") for each in self.posts if each["data"]["rule"] == rule]
        subjects = [str(each["Subject"]) for each in self.letters.all]
        mailed = [s.split()[1].rstrip(":") for s in subjects if s.split()[2] == rule]
        assert mailed == posted
        return posted


def changed(**rules: AlertSettings) -> dict[str, AlertSettings]:
    """Rules of which nothing must last before it is told, and these changes."""
    return {**{rule.name: AlertSettings(hold=0) for rule in RULES}, **rules}


@asynccontextmanager
async def watched(database: TestDatabase, **more: Any) -> AsyncIterator[Watch]:
    """The house, with these settings."""
    application, port = web.Application(), free_port()
    runner = web.AppRunner(application)
    letters = Letters()
    mail = Controller(letters, hostname="127.0.0.1", port=free_port())
    settings = settings_for(
        database,
        **{
            "alert_webhooks": (f"http://127.0.0.1:{port}/alerts",),
            "alert_webhook_secret": SECRET,
            "alert_emails": ("operator@example.org",),
            "smtp_url": f"smtp://127.0.0.1:{mail.port}",
            **more,
        },
    )
    async with House(settings) as house:
        watch = Watch(house, letters=letters)
        application.router.add_post("/alerts", watch.take)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        mail.start()
        try:
            yield watch
        finally:
            mail.stop()
            await runner.cleanup()
