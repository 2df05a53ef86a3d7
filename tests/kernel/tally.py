"""The test-only app: everything that a route can be, in the least code."""

from typing import Annotated

import msgspec
import sqlalchemy as sa

from entrepot.kernel.app import App
from entrepot.kernel.db.doors import Json, Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.http.route import OWN, Ask, Pace, Who, delete, get, patch, post
from entrepot.kernel.refusal import Conflict, Forbidden
from entrepot.kernel.values import PublicKey
from entrepot.kernel.wallet import Wallet

RAISE = Query("""
    INSERT INTO tally.tallies (name, count) VALUES (:name, :step)
    ON CONFLICT (name) DO UPDATE SET count = tallies.count + excluded.count RETURNING name, count
""")
SHOW = Query("SELECT row_to_json(t) FROM tally.tallies t WHERE name = :name")
FIRST = Query("SELECT json_build_object('items', json_agg(t)) FROM (SELECT * FROM tally.tallies LIMIT :limit) t")
DROP = Query("DELETE FROM tally.tallies WHERE name = :name")


class Tally(msgspec.Struct, frozen=True):
    """A name and how often it was counted."""

    name: str
    count: int


class Tallies(msgspec.Struct, frozen=True):
    """Several."""

    items: list[Tally]


class Raise(Ask, frozen=True):
    """Which tally, by how much, and for whom."""

    by: Wallet
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    step: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    reward: Wallet | None = None


class Named(Ask, frozen=True):
    """Which tally."""

    name: str


class First(Ask, frozen=True):
    """How many."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 10


class Full(Conflict):
    """The tally {name} stands at {count} and takes no more."""

    name: str
    count: int


class Banned(Forbidden):
    """The wallet {wallet} is banned."""

    wallet: str


async def count(db: Write, ask: Raise) -> Tally:
    """Raise a tally."""
    return await db.one(Tally, RAISE, name=ask.name, step=ask.step)


async def fill(db: Write, ask: Raise) -> Tally:
    """Raise a tally, which is full."""
    raised = await count(db, ask)
    raise Full(raised.name, raised.count)


async def drop(db: Write, ask: Named) -> None:
    """Drop a tally."""
    await db.run(DROP, name=ask.name)


async def show(db: Read, ask: Named) -> Annotated[Json | None, Tally]:
    """Show a tally."""
    return await db.json(SHOW, name=ask.name)


async def first(db: Read, ask: First) -> Annotated[Json, Tallies]:
    """Show the first tallies."""
    found = await db.json(FIRST, limit=ask.limit)
    assert found is not None
    return found


async def break_down(_db: Read) -> Tally:
    """Break."""
    raise RuntimeError("the very secret reason")


async def sneak(db: Read) -> Tally:
    """Write through the door for reading."""
    return await db.one(Tally, RAISE, name="sneaked", step=1)


async def meet(db: Write, wallet: Wallet, _key: PublicKey | None) -> None:
    """Count who signs in, but for the banned."""
    met = await db.one(Tally, RAISE, name=wallet, step=1)
    if await db.value(SHOW, name=f"banned {wallet}") is not None:
        raise Banned(met.name)


APP = App(
    name="tally",
    tables=sa.MetaData(schema="tally"),
    on_sign_in=meet,
    routes=(
        post("/tallies", count, who=Who.SIGNED_IN, of=OWN, status=201),
        post("/strict", count, who=Who.SIGNED_IN, of=OWN, needs_key=True),
        post("/full", fill, who=Who.SIGNED_IN, of=OWN, refuses=(Full,)),
        patch("/tallies/{name}", count, who=Who.SIGNED_IN, of=OWN),
        get("/tallies", first, who=Who.ANYONE),
        get("/tallies/{name}", show, who=Who.ANYONE),
        delete("/tallies/{name}", drop, who=Who.OPERATOR),
        get("/broken", break_down, who=Who.ANYONE),
        get("/sneaky", sneak, who=Who.ANYONE, pace=Pace.READ),
    ),
)
