"""Schemathesis makes up calls from the OpenAPI document: the server answers none otherwise than the document says."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from eth_account import Account
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, GenerationMode

from entrepot.apps.escrow.model import Party
from entrepot.dev import postgres
from entrepot.kernel.http.route import Who
from tests.apps.escrow.conftest import Caller, SharedChain, opened_market
from tests.apps.escrow.populace import settle
from tests.apps.escrow.test_authorisation import ENDPOINTS, MATRIX
from tests.conftest import cloned
from tests.made_up import Bureau, Told
from tests.matrix import carried_out, label

FULL = os.environ.get("FAULTS") == "full"
CASES = 10_000 if FULL else 400
EACH = -(-CASES // len(ENDPOINTS))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
NEVER_DONE = {"POST /api/v1/auth/verify"}
"""What takes a signature, which nobody makes up."""
TOLD = Told(MATRIX, ENDPOINTS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bureau(cluster: postgres.Server, chain: SharedChain) -> AsyncIterator[Bureau]:
    """A populous market, and somebody to call it."""
    account = Account.create()
    print(f"SEED={SEED}")
    async with (
        cloned(cluster) as database,
        opened_market(database, chains=(chain.settings,), operators=(account.address,)) as market,
    ):
        await chain.note(market.owner)
        people = await settle(market, Caller(market.http, account), CASES)
        made = Bureau(str(market.http._base_url), people, TOLD)
        yield made
        made.http.close()


def likely(operation: APIOperation) -> list[str]:
    """Who calls: whoever may most of the time, and now and then somebody who may not."""
    route = TOLD.endpoints[operation.label].route
    may = ["operator"] if route.who is Who.OPERATOR else [party.value for party in route.of or Party]
    return [*may * 4, "nobody", "operator", "seller"]


@pytest.mark.timeout(1800)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("operation", TOLD.operations.values(), ids=TOLD.operations)
async def test_no_call_is_answered_otherwise_than_the_document_says(bureau: Bureau, operation: APIOperation) -> None:
    bureau.answers.clear()
    await asyncio.to_thread(bureau.at_the_edges, operation, likely(operation)[0])
    for mode in GenerationMode:
        with suppress(Unsatisfiable):  # no call can be of a wrong form where nothing is given
            await asyncio.to_thread(bureau.made_up(operation, mode, likely(operation), many=EACH // 2, seed=SEED))
    answers = dict(sorted(bureau.answers.items()))
    print(f"SEED={SEED} {operation.label}: {sum(answers.values())} calls, answered {answers}")
    if FULL and operation.label not in NEVER_DONE:
        assert carried_out(TOLD.endpoints[operation.label]) in answers, "it never got as far as being carried out"


def test_every_route_is_called() -> None:
    assert set(TOLD.operations) == {label(endpoint) for endpoint in ENDPOINTS}
