"""A trade as its parties hear it while it happens, also where the chain changes its mind."""

import asyncio
from contextlib import aclosing

import pytest

from entrepot.apps.escrow.calls.live import ArbitratorChanged, DeliveryKept, MessageSent, OrderMoved, OrderUndone
from entrepot.client.live import LiveEvent
from entrepot.kernel.http.frames import Ready
from tests.journeys.conftest import Deal


def told(event: LiveEvent) -> str:
    """An event in a few words."""
    if isinstance(event, OrderMoved | OrderUndone):
        return f"{'undone' if isinstance(event, OrderUndone) else 'order'} {event.status and event.status.value}"
    if isinstance(event, ArbitratorChanged):
        return f"arbitrator {event.arbitrator_wallet}"
    return {Ready: "ready", MessageSent: "message", DeliveryKept: "delivery"}.get(type(event), "another")


async def test_both_parties_hear_a_whole_trade_in_its_order(deal: Deal) -> None:
    seller, buyer, order = deal.seller, deal.buyer, deal.order
    async with aclosing(buyer.live(order.id)) as hers, aclosing(seller.live()) as his:
        assert {told(await anext(hers)), told(await anext(his))} == {"ready"}
        await buyer.messages.send(order, "Is the gauge at Nussdorf included?")
        await seller.deliver(order.id, b"key")
        await buyer.confirm(order.id)
        whole = ["message", "delivery", "order seller_confirmed", "order completed"]
        for stream in (hers, his):
            assert [told(await asyncio.wait_for(anext(stream), 10)) for _ in whole] == whole
        began = await buyer.orders().__anext__()
        assert began.status == "completed"


async def test_who_gives_up_waiting_goes_on_with_the_last_cursor_and_who_only_looks_loses_nothing(deal: Deal) -> None:
    seller, buyer, order = deal.seller, deal.buyer, deal.order
    async with aclosing(buyer.live(order.id)) as ended:
        last = await anext(ended)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(ended), 0.1)
        with pytest.raises(StopAsyncIteration):
            await anext(ended)
    assert isinstance(last, Ready)
    await seller.messages.send(order, "Are you still there?")
    async with aclosing(buyer.live(order.id, after=last.cursor)) as hers:
        assert told(await asyncio.wait_for(anext(hers), 10)) == "message"
        coming = asyncio.ensure_future(anext(hers))
        assert (await asyncio.wait({coming}, timeout=0.1))[0] == set()
        await seller.messages.send(order, "Good.")
        assert told(await asyncio.wait_for(coming, 10)) == "message"


async def test_what_a_reorganisation_undoes_is_told_and_what_comes_after_it_too(deal: Deal) -> None:
    seller, buyer, order = deal.seller, deal.buyer, deal.order
    async with aclosing(buyer.live(order.id)) as hers:
        await anext(hers)
        await seller.deliver(order.id, b"key")
        await buyer.open_dispute(order.id)
        heard = [told(await asyncio.wait_for(anext(hers), 10)) for _ in range(3)]
        assert heard == ["delivery", "order seller_confirmed", "order disputed"]
        await deal.stage.bazaar.reorg(1)
        assert told(await asyncio.wait_for(anext(hers), 20)) == "undone seller_confirmed"
        await buyer.confirm(order.id)
        assert told(await asyncio.wait_for(anext(hers), 10)) == "order completed"
