"""Listeners of a real server with two processes, while its processes and its connections are killed."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import aiohttp
import asyncpg
import pytest
from eth_account import Account

from entrepot.apps.escrow.calls.live import MessageSent
from entrepot.client import Client
from entrepot.dev.process import Child, entrepot
from entrepot.kernel.http.frames import Ready, StartOver
from entrepot.kernel.settings import variable
from tests.apps.escrow.conftest import LISTING, Caller, Market
from tests.conftest import TestDatabase, free_port

STREAMS, MESSAGES = 6, 60
KEY = '{"test": "' + "A" * 43 + '="}'


def below(pid: int) -> list[int]:
    """The processes that a process has started."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Service:
    """`entrepot serve` on a port of its own, that can be killed and started again."""

    def __init__(self, database: TestDatabase, folder: Path) -> None:
        self.port, self.folder = free_port(), folder
        self.url = f"http://127.0.0.1:{self.port}"
        self.more = {
            "DATABASE_URL": database.url,
            "DATABASE_OWNER_URL": database.owner_url,
            "ENTREPOT_PORT": str(self.port),
            "ENTREPOT_WORKERS": "2",
            "ENTREPOT_HOME": str(folder),
            "ENTREPOT_VAULT_KEYS": KEY,
            "ENTREPOT_WRITES_PER_MINUTE": "100000",
            "ENTREPOT_READS_PER_MINUTE": "100000",
            **{variable(name): str(value) for name, value in database.settings.items()},
        }

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Child]:
        """The server, once it answers."""
        async with entrepot("server", ["serve"], self.folder / "server.log", self.more) as child:
            async with aiohttp.ClientSession(self.url) as http:
                while True:
                    child.still_there()
                    try:
                        async with http.get("/api/v1/openapi.json") as answer:
                            if answer.status == 200 and len(self.processes(child)) == 2:
                                break
                    except aiohttp.ClientConnectionError:
                        await asyncio.sleep(0.05)
            yield child

    def processes(self, child: Child) -> list[int]:
        """Those that serve, which are all that it starts."""
        return below(child.process.pid)


@pytest.fixture
def service(database: TestDatabase, tmp_path: Path) -> Service:
    return Service(database, tmp_path)


async def opened(service: Service, owner: asyncpg.Connection) -> tuple[Client, Client, UUID]:
    """A seller, a buyer and an order between them; the clients are to be closed by whoever asked."""
    seller, buyer = [Client(service.url, Account.create()) for _ in range(2)]
    for client in (seller, buyer):
        await client.__aenter__()
        await client.sign_in()
    async with aiohttp.ClientSession(service.url) as http:
        lister = Caller(http, token=seller.transport.token)
        order = await Market(http, owner).order(await lister.lists(**LISTING), Caller(http, account=buyer._key))
    return seller, buyer, order


async def hear(client: Client, order: UUID, ready: asyncio.Event) -> list[UUID]:
    """The ids of all messages, until they are as many as are sent."""
    heard: list[UUID] = []
    async for event in client.live(order):
        assert not isinstance(event, StartOver)
        if isinstance(event, Ready):
            ready.set()
        if isinstance(event, MessageSent):
            heard.append(event.message.id)
            if len(heard) == MESSAGES:
                break
    return heard


async def write(client: Client, order: UUID) -> list[UUID]:
    """Sends the messages, each as often as it takes: on a machine with much to do a server starts slowly."""
    client.transport.attempts = 30
    card, sent = await client.order(order), []
    for number in range(MESSAGES):
        sent.append((await client.messages.send(card, f"{number}")).id)
        await asyncio.sleep(0.05)
    return sent


@pytest.mark.timeout(120)
async def test_whatever_is_killed_every_listener_hears_every_message_once_and_in_order(
    service: Service, owner: asyncpg.Connection
) -> None:
    async with service.running() as child:
        seller, buyer, order = await opened(service, owner)
        ready = [asyncio.Event() for _ in range(STREAMS)]
        hearing = [asyncio.create_task(hear(buyer, order, each)) for each in ready]
        await asyncio.gather(*(each.wait() for each in ready))
        writing = asyncio.create_task(write(seller, order))
        await asyncio.sleep(0.5)
        for victim in service.processes(child):
            os.kill(victim, signal.SIGKILL)
            await asyncio.sleep(0.5)
        await owner.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.5)
        for each in (child.process.pid, *service.processes(child)):  # the first would start the others again
            os.kill(each, signal.SIGKILL)
        await child.process.wait()
    async with service.running():
        sent = await asyncio.wait_for(writing, 60)
        assert [await asyncio.wait_for(each, 30) for each in hearing] == [sent] * STREAMS
        for client in (seller, buyer):
            await client.__aexit__()


@pytest.mark.timeout(60)
async def test_a_server_that_is_asked_to_end_says_goodbye_and_the_stream_goes_on_at_the_next(
    service: Service, owner: asyncpg.Connection
) -> None:
    async with aiohttp.ClientSession() as http:
        async with service.running() as child:
            seller, buyer, order = await opened(service, owner)
            card = await seller.order(order)
            stream = buyer.live(order)
            assert isinstance(await anext(stream), Ready)
            bare = [await listen(http, service, buyer) for _ in range(STREAMS)]
            began = asyncio.get_running_loop().time()
            child.process.send_signal(signal.SIGTERM)
            assert [await code(each) for each in bare] == [1001] * STREAMS
            await child.process.wait()
            assert asyncio.get_running_loop().time() - began < 5
        async with service.running():
            sent = await seller.messages.send(card, "after")
            event = await asyncio.wait_for(anext(stream), 20)
            assert isinstance(event, MessageSent)
            assert event.message.id == sent.id
            for client in (seller, buyer):
                await client.__aexit__()


async def listen(http: aiohttp.ClientSession, service: Service, client: Client) -> aiohttp.ClientWebSocketResponse:
    """A bare WebSocket."""
    headers = {"Authorization": f"Bearer {client.transport.token}"}
    socket = await http.ws_connect(f"{service.url}/api/v1/escrow/live", headers=headers)
    await socket.receive(5)
    return socket


async def code(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """By what it was closed."""
    while (message := await socket.receive(10)).type is aiohttp.WSMsgType.TEXT:
        pass
    return message.data if message.type is aiohttp.WSMsgType.CLOSE else socket.close_code
