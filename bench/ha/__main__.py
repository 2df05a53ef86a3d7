"""`make ha-trial`: the primary dies under load, again and again; what was acknowledged must be there afterwards."""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg

from bench import report
from bench.ha.cluster import DATABASE, LOOP_WAIT, RETRY_TIMEOUT, TTL, Cluster, cluster
from bench.ha.load import Load, Record
from entrepot.commands import here
from entrepot.commands.market import LOCAL, Market, open_market
from entrepot.kernel import settings as configuration
from entrepot.kernel.settings import Settings

SELLERS, BUYERS = 6, 2
BEFORE, AFTER = 6.0, 6.0  # seconds of load before each kill, and after the first acknowledgement that follows it
PATIENCE = 120.0
PLENTY = 1_000_000
FOUND = """
    SELECT (SELECT array_agg(id) FROM escrow.products), (SELECT array_agg(product_hash) FROM escrow.products),
        (SELECT json_object_agg(id, tx_hash_create)::text FROM escrow.orders)
"""


def settings_for(home: Path, made: Cluster) -> Settings:
    """A market on the cluster, without limits that the load would meet."""
    port = here.free_port("127.0.0.1")
    return configuration.load(
        {}, home=home, database_url=made.url("entrepot_server"), database_owner_url=made.url("postgres"), port=port,
        public_url=f"http://localhost:{port}", reads_per_minute=PLENTY, writes_per_minute=PLENTY,
        sign_ins_per_minute=PLENTY,
        messages_per_minute=PLENTY,
    )  # fmt: skip


async def once(made: Cluster, record: Record) -> dict[str, Any]:
    """One death of the primary; how long nothing was acknowledged, and when all three nodes were there again."""
    await asyncio.sleep(BEFORE)
    primary = await asyncio.to_thread(made.wait_until_whole)
    began = monotonic()
    primary.lose_power()
    while record.next_after(began + 1) is None:
        await asyncio.sleep(0.1)
        if monotonic() - began > PATIENCE:
            raise TimeoutError(f"nothing was acknowledged for {PATIENCE:.0f} s after {primary.name} died")
    resumed = monotonic()
    await asyncio.sleep(AFTER)
    successor = await asyncio.to_thread(made.primary)
    primary.start()
    await asyncio.to_thread(made.wait_until_whole)
    return {
        "killed": primary.name,
        "successor": successor.name,
        "unavailable_seconds": round(record.longest_gap(began - 1, resumed), 2),
        "whole_again_seconds": round(monotonic() - began, 1),
    }


async def under_load(market: Market, made: Cluster, record: Record, rounds: int) -> list[dict[str, Any]]:
    """Every round, while wallets list and buy."""
    load = Load(market.url, market.settings.domain, market.settings.chain(LOCAL), record)
    wallets = [asyncio.create_task(load.sell()) for _ in range(SELLERS)]
    wallets += [asyncio.create_task(load.buy()) for _ in range(BUYERS)]
    found = []
    try:
        for number in range(rounds):
            found.append(await once(made, record))
            print(f"  round {number + 1}: {found[-1]}", file=sys.stderr, flush=True)
            for ended in (wallet for wallet in wallets if wallet.done()):
                ended.result()
    finally:
        for wallet in wallets:
            wallet.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*wallets)
    for child in market.children:
        child.still_there()
    return found


async def missing(made: Cluster, record: Record) -> dict[str, int]:
    """What was acknowledged and is not there, is there twice, or is there with another transaction."""
    owner = await asyncpg.connect(made.url("postgres"))
    products, hashes, orders = await owner.fetchrow(FOUND)
    await owner.close()
    known = json.loads(orders or "{}")
    return {
        "products lost": len(set(record.products) - set(products or ())),
        "products twice": len(hashes or ()) - len(set(hashes or ())),
        "orders lost": sum(str(each) not in known for each in record.orders),
        "orders of another transaction": sum(known.get(str(each), tx) != tx for each, tx in record.orders.items()),
    }


async def audit(settings: Settings) -> int:
    """Status of `entrepot escrow audit --all`: every order, compared with the contract's own view."""
    environment = {**os.environ, **here.environment(settings)}
    command = [sys.executable, "-m", "entrepot", "escrow", "audit", "--all"]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=sys.stderr)
    return await process.wait()


async def trial(made: Cluster, home: Path, rounds: int) -> dict[str, Any]:
    """The whole of it."""
    admin = await asyncpg.connect(made.url("postgres", "postgres"))
    version = await admin.fetchval("SHOW server_version")
    await admin.execute(f"CREATE DATABASE {DATABASE}")
    await admin.close()
    record = Record()
    async with open_market(settings_for(home, made), local_chain=True) as market:
        found = await under_load(market, made, record, rounds)
        lost = await missing(made, record)
        lost["differences from the chain"] = await audit(market.settings)
    return {
        "postgresql": version, "patroni": {"ttl": TTL, "loop_wait": LOOP_WAIT, "retry_timeout": RETRY_TIMEOUT},
        "rounds": found, "products": len(record.products), "orders": len(record.orders),
        "answered_otherwise": record.answered, "lost": lost,
    }  # fmt: skip


def write(result: dict[str, Any]) -> Path:
    """bench/results/ha.json and ha.md; the path of the latter."""
    about = report.machine({})
    (report.RESULTS / "ha.json").write_text(json.dumps({"machine": about, **result}, indent=1) + "\n")
    lines = [
        "# Failover", "",
        f"Made by `make ha-trial` at {about['at']}: {about['processor']}, {about['cores']} cores, "
        f"load {about['load']}; "
        f"PostgreSQL {result['postgresql']}, three nodes of Patroni {result['patroni']} and of etcd on one machine, "
        "strictly synchronous replication. Each round kills Patroni and PostgreSQL of the primary by SIGKILL.", "",
        "| round | killed | successor | nothing acknowledged for, s | three nodes again after, s |", "| --- " * 5 + "|",
    ]  # fmt: skip
    for number, each in enumerate(result["rounds"], 1):
        lines.append(
            f"| {number} | {each['killed']} | {each['successor']} | {each['unavailable_seconds']} "
            f"| {each['whole_again_seconds']} |"
        )
    lines += ["", f"Acknowledged: {result['products']} products, {result['orders']} orders paid on the chain."]
    lines += ["", "| | |", "| --- | --- |", *(f"| {what} | {count} |" for what, count in result["lost"].items())]
    path = report.RESULTS / "ha.md"
    path.write_text("\n".join(lines) + "\n")
    return path


def main() -> int:
    """1 when anything acknowledged was lost."""
    parser = argparse.ArgumentParser(prog="python -m bench.ha", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="entrepot-ha-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "cluster").mkdir()
        with cluster(folder / "cluster") as made:
            result = asyncio.run(trial(made, folder / "home", rounds))
    print(write(result).read_text())
    return 1 if any(result["lost"].values()) else 0


if __name__ == "__main__":
    sys.exit(main())
