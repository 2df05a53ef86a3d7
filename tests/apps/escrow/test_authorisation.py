"""The authorisation matrix: every route, called as everybody, answers what its declaration says; nothing is written
where it refuses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from enum import StrEnum

import pytest
import pytest_asyncio
from eth_account import Account

from entrepot.apps.escrow.model import Party
from entrepot.dev import postgres
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.route import Who
from entrepot.kernel.refusal import Forbidden
from tests.apps.escrow.conftest import Caller, Market, SharedChain, opened_market
from tests.apps.escrow.scenes import SCENES, Stage
from tests.conftest import cloned
from tests.matrix import Matrix, carried_out, label

MATRIX = Matrix("escrow")
ENDPOINTS = MATRIX.endpoints


class As(StrEnum):
    """Who calls."""

    NOBODY = "nobody"
    STRANGER = "stranger"
    BUYER = Party.BUYER.value
    SELLER = Party.SELLER.value
    ARBITRATOR = Party.ARBITRATOR.value
    OPERATOR = "operator"
    BANNED = "blacklisted"
    """By an operator, which ended the session that it calls with."""
    BANNED_SELLER = "blacklisted seller with a session"
    """As no ban leaves anybody: what trades must refuse it all the same."""


SIDE = {
    As.BUYER: Party.BUYER,
    As.SELLER: Party.SELLER,
    As.ARBITRATOR: Party.ARBITRATOR,
    As.BANNED_SELLER: Party.SELLER,
}


def expected(endpoint: Endpoint, who: As) -> int:
    """What the declaration says."""
    route = endpoint.route
    answer = carried_out(endpoint)
    banned = who in (As.BANNED, As.BANNED_SELLER) and any(issubclass(kind, Forbidden) for kind in route.refuses)
    if route.who is Who.ANYONE:
        return 403 if banned else answer
    if who in (As.NOBODY, As.BANNED):
        return 401
    if route.who is Who.OPERATOR:
        return answer if who is As.OPERATOR else 403
    if route.of and SIDE.get(who) not in route.of:
        return 404
    return 403 if banned else answer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(cluster: postgres.Server, chain: SharedChain) -> AsyncIterator[tuple[Stage, dict[As, Caller]]]:
    """One market for all cells, and everybody in it."""
    account = Account.create()
    async with (
        cloned(cluster) as database,
        opened_market(database, chains=(chain.settings,), operators=(account.address,)) as market,
    ):
        await chain.note(market.owner)
        operator = Caller(market.http, account)
        await operator.sign_in(operator.key)
        cast = {who: await market.member() for who in As if who is not As.OPERATOR}
        cast |= {As.OPERATOR: operator, As.NOBODY: market.stranger()}
        ban = {"wallet": cast[As.BANNED].wallet, "reason": "fraud"}
        assert (await operator.post("admin/blacklist", **ban)).status == 201
        yield Stage(market, cast[As.BUYER], cast[As.SELLER], cast[As.ARBITRATOR], await market.member()), cast


@asynccontextmanager
async def outlawed(market: Market, caller: Caller) -> AsyncIterator[None]:
    """On the blacklist for the time of a call, with a session all the same."""
    await market.ban(caller.wallet)
    try:
        yield
    finally:
        pardoned = "UPDATE escrow.user_profiles SET is_blacklisted = false WHERE wallet = $1"
        for statement in ("DELETE FROM escrow.blacklist WHERE wallet = $1", pardoned):
            await market.owner.execute(statement, caller.wallet)


async def written(market: Market) -> dict[str, tuple[int, int]]:
    """What every table holds; but a nonce is spent by any attempt to sign in."""
    return {table: held for table, held in (await market.snapshot()).items() if table != "core.sign_in_nonces"}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("who", As, ids=str)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=label)
async def test_a_call_is_answered_as_its_declaration_says(
    played: tuple[Stage, dict[As, Caller]], endpoint: Endpoint, who: As
) -> None:
    stage, cast = played
    caller, should = cast[who], expected(endpoint, who)
    assert label(endpoint) in SCENES, f"tests/apps/escrow/scenes.py has no scene for {label(endpoint)}"
    if who is As.BANNED_SELLER and Party.SELLER in (endpoint.route.of or ()):
        stage = replace(stage, seller=caller)
    given = await SCENES[label(endpoint)](stage, caller)
    async with outlawed(stage.market, caller) if who is As.BANNED_SELLER else nullcontext():
        before = await written(stage.market)
        status, told = await MATRIX.ask(endpoint, caller, given)
        assert status == should, told
        assert should < 400 or await written(stage.market) == before, "a refused call wrote something"
    if status < 400 and "session" in endpoint.from_session:
        await caller.sign_in()  # it is signed out, and has other calls to make


def test_no_scene_is_left_of_a_route_that_is_gone() -> None:
    assert set(SCENES) - {label(endpoint) for endpoint in ENDPOINTS} == set()
