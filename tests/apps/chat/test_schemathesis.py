"""Schemathesis makes up calls from the OpenAPI document: the server answers none otherwise than the document says."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, GenerationMode

from entrepot.dev import postgres
from entrepot.kernel.values import new_id
from tests.apps.chat.conftest import Caller, Place, opened_place
from tests.apps.chat.devices import Device
from tests.apps.chat.scenes import As, Stage
from tests.conftest import cloned
from tests.made_up import Bureau, People, Told
from tests.matrix import Matrix, carried_out

FULL = os.environ.get("FAULTS") == "full"
CASES = 6_000 if FULL else 260
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
MATRIX = Matrix("chat")
TOLD = Told(MATRIX, MATRIX.own)
EACH = -(-CASES // len(TOLD.operations))
NEVER_DONE = {"PUT /api/v1/chat/keys"}
"""What takes a signature, which nobody makes up."""
LIKELY = [*[each.value for each in As if each is not As.NOBODY], As.NOBODY.value]


async def settle(place: Place) -> People:
    """Everybody in groups, with devices, and with something said."""
    cast = {who: await place.member() for who in As if who is not As.NOBODY}
    stage = Stage(place, cast)
    groups = [await stage.group(is_public=public) for public in (False, True) * 8]
    others = [await place.member() for _ in range(12)]
    pairs = [await begun(cast[As.MEMBER], other) for other in others]
    phones = [Device(cast[As.HOLDER]) for _ in range(3)]
    for version, phone in enumerate(phones, 1):
        await phone.comes(version, one_time_keys=phone.keys(5))
    for other in others:
        await cast[As.HOLDER].post(f"blocks/{other.wallet}")
    wallets = [caller.wallet for caller in (*cast.values(), *others)]
    return People(
        tokens={**{who.value: caller.token for who, caller in cast.items()}, As.NOBODY.value: ""},
        spare=iter(()),
        known={
            "groups/{id}": groups,
            "conversations/{id}": [*groups, *pairs],
            "wallet": wallets,
            "device": [str(phone.id) for phone in phones],
            "message_id": [str(new_id()) for _ in range(400)],
        },
    )


async def begun(by: Caller, other: Caller) -> str:
    return str((await by.writes_to(other)).body["conversation_id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bureau(cluster: postgres.Server) -> AsyncIterator[Bureau]:
    """A server with people, and somebody to call it."""
    print(f"SEED={SEED}")
    async with cloned(cluster) as database, opened_place(database, groups_per_day=100_000) as place:
        made = Bureau(place.url, await settle(place), TOLD)
        yield made
        made.http.close()


@pytest.mark.timeout(1800)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("operation", TOLD.operations.values(), ids=TOLD.operations)
async def test_no_call_is_answered_otherwise_than_the_document_says(bureau: Bureau, operation: APIOperation) -> None:
    bureau.answers.clear()
    await asyncio.to_thread(bureau.at_the_edges, operation, As.MEMBER.value)
    for mode in GenerationMode:
        with suppress(Unsatisfiable):  # no call can be of a wrong form where nothing is given
            await asyncio.to_thread(bureau.made_up(operation, mode, LIKELY, many=EACH // 2, seed=SEED))
    answers = dict(sorted(bureau.answers.items()))
    print(f"SEED={SEED} {operation.label}: {sum(answers.values())} calls, answered {answers}")
    if FULL and operation.label not in NEVER_DONE:
        assert carried_out(TOLD.endpoints[operation.label]) in answers, "it never got as far as being carried out"


def test_every_route_is_called() -> None:
    assert set(TOLD.operations) == set(TOLD.endpoints)
