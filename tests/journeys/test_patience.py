"""A client between the market and a bad line: what is sent again, what is not, and how a refusal arrives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from time import monotonic
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from aiohttp import web
from eth_account import Account

from entrepot.client import Category, Client, Refused, Unreachable
from entrepot.client import products as paging
from entrepot.client.transport import refusal
from tests.conftest import TestDatabase, free_port, served, settings_for

GOOD = "0x" + "ab" * 32


class Line:
    """A line to the server: `fate` says of each coming request whether its answer is lost, or it is turned away."""

    def __init__(self, target: str, http: aiohttp.ClientSession) -> None:
        self.target, self.http, self.fate, self.keys = target, http, list[str](), list[str]()

    async def carry(self, request: web.Request) -> web.StreamResponse:
        fate = self.fate.pop(0) if self.fate else "pass"
        self.keys.append(request.headers.get("Idempotency-Key", ""))
        if fate.startswith("busy"):
            return web.Response(status=503, headers={"Retry-After": fate.removeprefix("busy ")}, text="<h1>Busy</h1>")
        kept = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        body = await request.read()
        async with self.http.request(request.method, self.target + request.path_qs, headers=kept, data=body) as answer:
            told = await answer.read()
        if fate == "lost":
            assert request.transport is not None
            request.transport.abort()
        return web.Response(status=answer.status, body=told)


@asynccontextmanager
async def lined(target: str) -> AsyncIterator[tuple[str, Line]]:
    """Such a line, and its address."""
    async with aiohttp.ClientSession() as http:
        line, port = Line(target, http), free_port()
        runner = web.AppRunner(application := web.Application())
        application.router.add_route("*", "/{path:.*}", line.carry)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        try:
            yield f"http://127.0.0.1:{port}", line
        finally:
            await runner.cleanup()


@pytest.fixture
async def line(api: str) -> AsyncIterator[tuple[str, Line]]:
    async with lined(api) as made:
        yield made


async def offer(client: Client, title: str = "A good", price: str = "25.00") -> None:
    await client.products.create(
        title=title, description="Good.", category=Category.DATA, price=Decimal(price), stock=1, good=GOOD
    )


async def titles(client: Client) -> list[str]:
    return [card.title_preview async for card in client.products.list(seller=client.wallet)]


async def test_a_command_whose_answer_is_lost_is_sent_again_with_its_key_and_done_once(line: tuple[str, Line]) -> None:
    async with Client(line[0], Account.create()) as client:
        await client.sign_in()
        line[1].fate, line[1].keys = ["lost", "busy 0", "lost"], []
        await offer(client)
        assert len(line[1].keys) == 4
        assert len(set(line[1].keys)) == 1
        assert await titles(client) == ["A good"]
        await offer(client, "Another")
        assert len(set(line[1].keys[-2:] + line[1].keys[:1])) == 3


async def test_the_client_waits_as_long_as_the_server_says_but_not_for_ever(line: tuple[str, Line]) -> None:
    async with Client(line[0], Account.create()) as client:
        line[1].fate, began = ["busy 1"], monotonic()
        with pytest.raises(Refused) as unknown:
            await client.profile()
        assert (unknown.value.status, unknown.value.type) == (404, "no-such-profile")
        assert monotonic() - began >= 1
        line[1].fate = ["busy 3600"]
        with pytest.raises(Refused) as busy:
            await client.profile()
        assert (busy.value.status, busy.value.wait, busy.value.detail) == (503, 3600, "<h1>Busy</h1>")


async def test_a_sign_in_is_not_repeated_because_its_nonce_is_spent(line: tuple[str, Line]) -> None:
    async with Client(line[0], Account.create()) as client:
        line[1].fate = ["pass", "lost"]
        with pytest.raises(Unreachable):
            await client.sign_in()
        assert (await client.sign_in()).wallet == client.wallet


async def test_too_many_calls_only_take_longer(database: TestDatabase) -> None:
    async with served(settings_for(database, writes_per_minute=30)) as url, Client(url, Account.create()) as client:
        await client.sign_in()
        for number in range(32):
            await client.edit_profile(display_name=f"Number {number}")
        assert (await client.profile()).display_name == "Number 31"


async def test_refusals_have_their_facts_and_bad_input_never_leaves(api: str) -> None:
    async with Client(api, Account.create()) as client:
        with pytest.raises(Refused) as nobody:
            await offer(client)
        assert (nobody.value.status, nobody.value.type) == (401, "unauthenticated")
        await client.sign_in()
        with pytest.raises(msgspec.ValidationError, match="at least 1.0"):
            await offer(client, price="0.50")
        with pytest.raises(Refused) as missing:
            await client.products.get(uuid4())
        assert (missing.value.status, missing.value.type, missing.value.facts) == (404, "no-such-product", {})
    told = refusal(409, b'{"type":"/problems/wrong-state","status":409,"detail":"No.","state":"expired"}', "")
    assert (told.type, told.detail, told.facts) == ("wrong-state", "No.", {"state": "expired"})


async def test_a_list_goes_on_page_after_page(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "PAGE", 2)
    async with Client(api, Account.create()) as client:
        await client.sign_in()
        for number in range(5):
            await offer(client, f"Number {number}")
        assert await titles(client) == [f"Number {number}" for number in reversed(range(5))]
        cards = [card async for card in client.products.list("Number 3")]
        assert [card.title_preview for card in cards] == ["Number 3"]
        edited = await client.products.edit(cards[0].id, title="Three", price=Decimal("26.5"))
        assert (edited.title_preview, edited.price_usdt, edited.stock) == ("Three", Decimal("26.5"), 1)
        await client.products.delete(cards[0].id)
        assert await titles(client) == ["Number 4", "Number 2", "Number 1", "Number 0"]
