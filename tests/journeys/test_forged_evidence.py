"""What a client does not believe of evidence: an address that is not of what it handed in, or another document."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from entrepot.client import Client, WrongEvidence, WrongTransaction
from entrepot.kernel.store.cid import cid_of
from tests.conftest import free_port
from tests.journeys.conftest import Deal
from tests.journeys.test_disputed import LIES, Hearing, hearing, until_on_record  # noqa: F401


@asynccontextmanager
async def forged(client: Client, part: str, **changes: Any) -> AsyncIterator[None]:
    """The client talks to a server that changes its answers to calls whose path has that part."""
    target, port = client.transport.url, free_port()

    async def carry(request: web.Request) -> web.Response:
        kept = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
        async with aiohttp.ClientSession() as http:
            sent = http.request(request.method, target + request.path_qs, headers=kept, data=await request.read())
            async with sent as answer:
                told = await answer.json(content_type=None)
        if part in request.path:
            told |= changes
        return web.Response(status=answer.status, body=json.dumps(told).encode(), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", carry)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    client.transport.url = f"http://127.0.0.1:{port}"
    try:
        yield
    finally:
        client.transport.url = target
        await runner.cleanup()


async def test_no_other_address_goes_on_record_and_no_other_document_is_opened(
    hearing: Hearing,  # noqa: F811
) -> None:
    deal: Deal = hearing.deal
    order, judge = deal.order.id, await hearing.drawn()
    async with forged(deal.buyer, "/evidence", cid=cid_of(b"what the server would rather have on record")):
        with pytest.raises(WrongEvidence, match="another address"):
            await deal.buyer.disputes.submit(order, LIES)
    elsewhere = {"chain_id": 31_337, "to": deal.stage.bazaar.token(), "data": "0x", "value": "0x0"}
    async with forged(deal.buyer, "/evidence", transaction=elsewhere):
        with pytest.raises(WrongTransaction, match="it is not submitEvidence"):
            await deal.buyer.disputes.submit(order, LIES)
    assert (await judge.disputes.get(order)).evidence == []
    handed = await deal.buyer.disputes.submit(order, LIES)
    await until_on_record(judge, order, 1)
    async with forged(judge, "/evidence/", encrypted_data="AAAA"):
        with pytest.raises(WrongEvidence, match="another document"):
            await judge.disputes.read(order, handed.cid)
    assert await judge.disputes.read(order, handed.cid) == LIES
    async with forged(judge, "/ruling", transaction=elsewhere):
        with pytest.raises(WrongTransaction, match="it is not resolveDispute"):
            await judge.disputes.rule(order, favor_buyer=True)
