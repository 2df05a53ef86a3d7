"""Live streams of trades: who is told what, and who is told nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from uuid import UUID

import pytest

from entrepot.apps.escrow.calls.blacklist import Reason
from entrepot.apps.escrow.calls.live import MessageSent
from entrepot.apps.escrow.model import BlacklistSource
from entrepot.apps.escrow.operations.blacklist import ban
from entrepot.client import Client, Refused
from entrepot.client.live import LiveEvent
from entrepot.kernel.db.database import Database
from entrepot.kernel.http.frames import Ready
from entrepot.kernel.wallet import Wallet
from tests.apps.escrow.conftest import Caller, Market
from tests.apps.escrow.test_messages import box
from tests.conftest import TestDatabase, settings_for


class Listeners:
    """Clients with the sessions that the callers have, and their streams."""

    def __init__(self, market: Market, stack: AsyncExitStack) -> None:
        self.url, self.stack = str(market.http._base_url).rstrip("/"), stack

    async def __call__(self, caller: Caller, order: UUID | None = None, after: str | None = None) -> "Stream":
        client = await self.stack.enter_async_context(Client(self.url, caller.account))
        client.transport.token = caller.token
        events = client.live(order, after=after)
        await self.stack.enter_async_context(aclosing(events))
        stream = Stream(events)
        if after is None:
            assert isinstance(await stream.next(), Ready)
        return stream


class Stream:
    """What somebody hears."""

    def __init__(self, events: AsyncIterator[LiveEvent]) -> None:
        self.events = events

    async def next(self) -> LiveEvent:
        return await asyncio.wait_for(anext(self.events), 10)

    async def message(self) -> UUID:
        """The id of the next event, which is a message."""
        event = await self.next()
        assert isinstance(event, MessageSent)
        return event.message.id


@pytest.fixture
async def listen(market: Market) -> AsyncIterator[Listeners]:
    async with AsyncExitStack() as stack:
        yield Listeners(market, stack)


@pytest.fixture
async def order(market: Market, seller: Caller, buyer: Caller) -> UUID:
    return await market.order(await seller.lists(), buyer)


async def writes(caller: Caller, order: UUID) -> UUID:
    """The id of a message that was sent."""
    answer = await caller.post(f"orders/{order}/messages", **box())
    assert answer.status == 201
    return UUID(answer.body["id"])


async def test_both_parties_hear_each_message_as_the_list_shows_it(
    listen: Listeners, order: UUID, seller: Caller, buyer: Caller
) -> None:
    theirs = [await listen(buyer, order), await listen(seller, order), await listen(seller)]
    given = box()
    sent = (await seller.post(f"orders/{order}/messages", **given)).body
    for stream in theirs:
        event = await stream.next()
        assert isinstance(event, MessageSent)
        assert (event.order_id, str(event.message.id), event.message.sender_wallet) == (
            order,
            sent["id"],
            seller.wallet,
        )
        assert {"ciphertext": event.message.ciphertext, "nonce": event.message.nonce} == given


async def test_a_stream_of_one_order_tells_of_that_one_and_the_general_one_of_all(
    market: Market, listen: Listeners, order: UUID, seller: Caller, buyer: Caller
) -> None:
    other = await market.order(await seller.lists(), buyer)
    one, every = await listen(buyer, order), await listen(buyer)
    first, second = await writes(seller, other), await writes(seller, order)
    assert await one.message() == second
    assert [await every.message(), await every.message()] == [first, second]


async def test_nobody_else_hears_or_learns_that_the_order_exists(
    market: Market, listen: Listeners, order: UUID, seller: Caller
) -> None:
    stranger = await market.member()
    told = []
    for asked in (order, UUID(int=1)):
        with pytest.raises(Refused) as refused:
            await listen(stranger, asked)
        told.append((refused.value.status, refused.value.type, refused.value.detail))
    assert told[0] == told[1]
    assert told[0][:2] == (404, "no-such-order")
    nobody = market.stranger()
    for which in (order, None):
        with pytest.raises(Refused) as refused:
            await listen(nobody, which)
        assert (refused.value.status, refused.value.type) == (401, "unauthenticated")
    own = await market.order(await stranger.lists(), seller)
    strangers = await listen(stranger)
    await writes(seller, order)
    sent = await writes(seller, own)
    assert await strangers.message() == sent, "of all messages only that of an own order comes"


async def test_an_arbitrator_hears_once_there_is_a_dispute(
    market: Market, listen: Listeners, order: UUID, seller: Caller
) -> None:
    judge = await market.member()
    await market.owner.execute("UPDATE escrow.orders SET arbitrator_wallet = $1", judge.wallet)
    every = await listen(judge)
    await writes(seller, order)
    with pytest.raises(Refused, match="no-such-order"):
        await listen(judge, order)
    await market.owner.execute("UPDATE escrow.orders SET status = 'disputed'")
    one = await listen(judge, order)
    sent = await writes(seller, order)
    assert [await every.message(), await one.message()] == [sent, sent]


async def test_a_refused_message_is_not_told(
    market: Market, listen: Listeners, order: UUID, seller: Caller, buyer: Caller
) -> None:
    heard = await listen(buyer, order)
    stranger = await market.member()
    assert (await stranger.post(f"orders/{order}/messages", **box())).status == 404
    assert (await seller.post(f"orders/{order}/messages", **box(nonce="AA=="))).status == 422
    sent = await writes(seller, order)
    assert await heard.message() == sent


async def test_a_message_that_is_sent_again_is_told_once(
    listen: Listeners, order: UUID, seller: Caller, buyer: Caller
) -> None:
    heard = await listen(buyer, order)
    given = box()
    answers = [await seller.call("POST", f"orders/{order}/messages", key="same", json=given) for _ in range(2)]
    last = await writes(seller, order)
    assert [await heard.message(), await heard.message()] == [UUID(answers[0].body["id"]), last]


async def test_a_listener_goes_on_after_the_event_that_it_saw_last(
    listen: Listeners, order: UUID, seller: Caller, buyer: Caller
) -> None:
    first = await listen(buyer, order)
    sent = [await writes(seller, order) for _ in range(3)]
    event = await first.next()
    assert isinstance(event, MessageSent)
    again = await listen(buyer, order, str(event.cursor))
    assert [await again.message(), await again.message()] == sent[1:]


async def test_whoever_is_banned_hears_nothing_more(market: Market, database: TestDatabase, buyer: Caller) -> None:
    """The session ends with the ban, and the stream with the session; by whatever process it is done."""
    headers = {"Authorization": f"Bearer {buyer.token}"}
    async with market.http.ws_connect("/api/v1/escrow/live", headers=headers) as socket:
        assert (await socket.receive_json())["kind"] == "ready"
        async with Database(database.url, settings_for(database)) as doors, doors.write() as db:
            await ban(db, [Wallet(buyer.wallet)], Reason("fraud"), BlacklistSource.MANUAL)
        message = await socket.receive(10)
        assert message.data == 4401
