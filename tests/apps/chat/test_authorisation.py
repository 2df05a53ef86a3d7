"""The authorisation matrix: every route, called as everybody, answers what its declaration says; nothing is written
where it refuses, and what is not theirs looks like what is not there."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio

from entrepot.apps.chat.model import Party
from entrepot.dev import postgres
from entrepot.kernel.http.endpoint import Endpoint
from tests.apps.chat.conftest import opened_place
from tests.apps.chat.scenes import SCENES, As, Stage
from tests.conftest import cloned
from tests.matrix import Given, Matrix, carried_out, label

MATRIX = Matrix("chat")
SIDES = {
    As.INVITED: {Party.INVITED},
    As.MEMBER: {Party.MEMBER},
    As.ADMIN: {Party.ADMIN, Party.MEMBER},
    As.OWNER: {Party.OWNER, Party.ADMIN, Party.MEMBER},
    As.HOLDER: {Party.HOLDER},
}
"""An owner may what an admin may, and both what a member may."""


def expected(endpoint: Endpoint, who: As) -> int:
    """What the declaration says."""
    if who is As.NOBODY:
        return 401
    if not endpoint.route.of or SIDES.get(who, set()) & set(endpoint.route.of):
        return carried_out(endpoint)
    is_inside = Party.MEMBER in SIDES.get(who, set())
    return 403 if is_inside and Party.HOLDER not in endpoint.route.of else 404


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(cluster: postgres.Server) -> AsyncIterator[Stage]:
    """One server for all cells, and everybody."""
    async with cloned(cluster) as database, opened_place(database, groups_per_day=1_000) as place:
        cast = {who: await place.member() for who in As if who is not As.NOBODY}
        yield Stage(place, {**cast, As.NOBODY: place.stranger()})


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("who", As, ids=str)
@pytest.mark.parametrize("endpoint", MATRIX.own, ids=label)
async def test_a_call_is_answered_as_its_declaration_says(stage: Stage, endpoint: Endpoint, who: As) -> None:
    assert label(endpoint) in SCENES, f"tests/apps/chat/scenes.py has no scene for {label(endpoint)}"
    given, should = await SCENES[label(endpoint)](stage, who), expected(endpoint, who)
    before = await stage.place.snapshot()
    status, told = await MATRIX.ask(endpoint, stage.cast[who], given)
    assert status == should, told
    assert should < 400 or await stage.place.snapshot() == before, "a refused call wrote something"
    if should == 404:
        nowhere = Given({name: str(uuid4()) for name in given.path}, given.body, given.whole)
        if "wallet" in nowhere.path:
            nowhere.path["wallet"] = stage.place.stranger().wallet
        assert await MATRIX.ask(endpoint, stage.cast[who], nowhere) == (404, told), "it told that there is something"


def test_no_scene_is_left_of_a_route_that_is_gone() -> None:
    assert set(SCENES) - {label(endpoint) for endpoint in MATRIX.own} == set()
