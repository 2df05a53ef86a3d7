"""Catching up: how fast a chain full of orders becomes rows, from the node's RPC to what was committed."""

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from bench import crowd
from bench.crowd import Deal, Street
from entrepot.apps.escrow.operations.reputation import rebuild_all
from entrepot.apps.escrow.tasks import escrow_indexer
from entrepot.dev import postgres
from entrepot.dev.anvil import Anvil
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.logs import pages
from entrepot.kernel.chain.rpc import Rpc
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings, Settings
from entrepot.kernel.upkeep import migrate
from entrepot.main import find_apps

ORDERS = 35_000
GOAL = 5_000.0
ROLE = "entrepot_server"
SETTINGS = {**postgres.SETTINGS, "shared_buffers": "1GB"}
PEERS = {
    "Ponder": "48",
    "rindexer": "207",
    "Envio, over RPC": "174-492",
}
"""Events a second, as published for their own benchmarks: other contracts, other nodes, other machines."""
ADD_PROFILES = "INSERT INTO escrow.user_profiles (wallet, public_key) SELECT unnest($1::text[]), ''"
ADD_PRODUCT = """
    INSERT INTO escrow.products (id, seller_wallet, title_preview, description_preview, category, price_usdt, stock,
        product_hash)
    VALUES ($1, $2, 'A good', 'One of ten', 'data', 25, 100000, $3)
"""
ADD_RESERVATION = """
    INSERT INTO escrow.reservations (id, product_id, buyer_wallet, chain, token, amount, platform_fee, expires_at)
    VALUES ($1, $2, $3, 'ethereum', 'USDT', 25, 0.5, now() + interval '15 minutes')
"""
STATUSES = "SELECT status::text, count(*) FROM escrow.orders GROUP BY 1 ORDER BY 1"


async def furnish(owner: asyncpg.Connection, street: Street) -> None:
    """The listings of all sellers, and the reservations that every other purchase refers to."""
    await owner.execute(ADD_PROFILES, street.parties)
    goods = {crowd.good(seller, number): seller for seller in range(crowd.PARTIES) for number in range(10)}
    ids = {good: UUID(int=crowd.FIRST_REFERENCE - 1 - n) for n, good in enumerate(goods)}
    rows = [(ids[good], street.parties[seller], "0x" + good.hex()) for good, seller in goods.items()]
    await owner.executemany(ADD_PRODUCT, rows)
    deals = [Deal(first) for first in range(1, street.orders + 1, crowd.ORDERS_A_CALL)]
    promised = [
        (UUID(int=deal.reference + n), ids[deal.good], street.parties[deal.buyer])
        for deal in deals
        if deal.reference
        for n in range(crowd.ORDERS_A_CALL)
    ]
    await owner.executemany(ADD_RESERVATION, promised)
    await owner.execute("VACUUM (ANALYZE)")


async def node_alone(node: Anvil, street: Street) -> float:
    """Seconds for the same requests and nothing else: logs in the same pages, and the blocks at their ends."""
    began = time.perf_counter()
    async with Rpc([node.url]) as rpc:
        head = await rpc.head()
        first = min(each.block for each in street.contracts)
        async for page in pages(rpc, street.named("P2PEscrow"), [], first, head):
            await rpc.blocks([page.first, page.last, head])
    return time.perf_counter() - began


async def catch_up(node: Anvil, database: Database) -> tuple[float, float]:
    """Seconds until everything is committed, and those of CPU that this process took for it."""
    settings = ChainSettings(crowd.NAME, crowd.CHAIN_ID, (node.url,), confirmations=1)
    async with Chains([settings]) as chains:
        indexer = await escrow_indexer(database, chains, crowd.NAME)
        assert indexer is not None
        began, cpu = time.perf_counter(), time.process_time()
        await indexer.catch_up()
        return time.perf_counter() - began, time.process_time() - cpu


async def once(cluster: postgres.Server, node: Anvil, street: Street) -> dict[str, Any]:
    """One run on a fresh database: seconds, and what came of it, which is held against what was put on the chain."""
    admin = await asyncpg.connect(cluster.get_uri("postgres"))
    await admin.execute("DROP DATABASE IF EXISTS mirrored WITH (FORCE)")
    await admin.execute("CREATE DATABASE mirrored TEMPLATE furnished STRATEGY FILE_COPY")
    await admin.execute("CHECKPOINT")
    await admin.close()
    async with Database(postgres.address(cluster, ROLE, "mirrored"), Settings()) as database:
        seconds, cpu = await catch_up(node, database)
        rebuilt = await rebuild_all(database)
    owner = await asyncpg.connect(cluster.get_uri("mirrored"))
    events = await owner.fetchval("SELECT count(*) FROM escrow.contract_events WHERE onchain_order_id IS NOT NULL")
    found = {row[0]: row[1] for row in await owner.fetch(STATUSES)}
    await owner.close()
    ended = sum(deal.is_cancelled for deal in (Deal(n) for n in range(1, street.orders + 1, crowd.ORDERS_A_CALL)))
    wanted = {"cancelled": ended * crowd.ORDERS_A_CALL, "completed": street.orders - ended * crowd.ORDERS_A_CALL}
    if (events, found) != (street.events, wanted):
        raise RuntimeError(f"the mirror is wrong: {events} events, {found}; the chain has {street.events}, {wanted}")
    if rebuilt.changed:
        raise RuntimeError(f"{rebuilt.changed} reputations are not what the orders make them")
    return {"seconds": seconds, "cpu_seconds": cpu, "per_second": street.events / seconds}


async def furnished(cluster: postgres.Server, orders: int, tell: Callable[[str], None]) -> tuple[Path, Street]:
    """The chain, and a database to clone in which the market is as before the first order."""
    admin = await asyncpg.connect(cluster.get_uri("postgres"))
    await admin.execute("CREATE DATABASE furnished")
    await admin.close()
    await migrate.up(cluster.get_uri("furnished"), find_apps(), ROLE)
    async with Database(cluster.get_uri("furnished"), Settings(pool_size=2)) as database:
        state, street = await crowd.paved(orders, database, tell)
        async with database.write() as db:
            for each in street.contracts:
                await registry.register(db, each)
    owner = await asyncpg.connect(cluster.get_uri("furnished"))
    await furnish(owner, street)
    await owner.close()
    return state, street


async def measure(cluster: postgres.Server, rounds: int, orders: int, tell: Callable[[str], None]) -> dict[str, Any]:
    """Some rounds, each on a fresh database, between readings of the node alone."""
    state, street = await furnished(cluster, orders, tell)
    runs, alone = [], []
    async with crowd.opened(state) as node:
        for number in range(rounds):
            alone.append(await node_alone(node, street))
            runs.append(await once(cluster, node, street))
            rate, seconds = runs[-1]["per_second"], runs[-1]["seconds"]
            tell(f"round {number + 1}: {rate:,.0f} events/s ({seconds:.1f} s; the node alone {alone[-1]:.1f} s)")
            tell(f"  of CPU, without PostgreSQL and node: {runs[-1]['cpu_seconds']:.1f} s")
    best = sorted(run["per_second"] for run in runs)
    return {
        "events": street.events,
        "orders": street.orders,
        "runs": runs,
        "node_alone_seconds": alone,
        "median": best[len(best) // 2],
        "goal": GOAL,
        "peers": PEERS,
    }


def run(rounds: int, tell: Callable[[str], None], orders: int = ORDERS) -> dict[str, Any]:
    """On a PostgreSQL of its own, whose commits are durable."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-bench-"))
    with postgres.started(folder, SETTINGS, throw_away=True) as cluster:
        return asyncio.run(measure(cluster, rounds, orders, tell))


def table(result: dict[str, Any]) -> list[str]:
    """The rate, what the node alone takes, and what peers publish of themselves."""
    rates = [run["per_second"] for run in result["runs"]]
    alone = sorted(result["node_alone_seconds"])[len(rates) // 2]
    seconds = sorted(run["seconds"] for run in result["runs"])[len(rates) // 2]
    cpu = sorted(run["cpu_seconds"] for run in result["runs"])[len(rates) // 2]
    met = "yes" if result["median"] >= result["goal"] else "NO"
    return [
        f"{result['events']:,} events of {result['orders']:,} orders on anvil, from the node to the committed rows.",
        "Commits are durable.",
        "",
        "| who | events/s | goal | met |",
        "| --- | --- | --- | --- |",
        f"| entrepot, median (min-max) | {result['median']:,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) "
        f"| {result['goal']:,.0f} | {met} |",
        *(f"| {name}, published | {rate} | | |" for name, rate in result["peers"].items()),
        "",
        f"A whole catch-up takes {seconds:.1f} s, {cpu:.1f} s of them CPU of the mirror's process; the node alone",
        f"takes {alone:.1f} s for the same requests.",
        "What peers publish is of their own benchmarks: other contracts, nodes and machines.",
    ]
