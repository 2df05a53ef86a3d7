"""What waits for too long is told: a tick that no worker begins, a transaction that no block takes, a notice."""

import asyncio
from dataclasses import replace

import asyncpg
from eth_account import Account

from entrepot.dev.anvil import anvil
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.sender import Sender
from entrepot.kernel.core import CORE
from entrepot.kernel.monitor.delivery import deliver
from entrepot.kernel.settings import AlertSettings
from entrepot.kernel.work.task import Task
from tests.conftest import TestDatabase
from tests.kernel.monitor.watch import Watch, changed, watched
from tests.kernel.monitor.worker import EVERY_SECOND, Place, working

TOLD = ["fired", "resolved"]
SHORT = {"alerts": changed(queue=AlertSettings(threshold=1.5, hold=0))}
DUE = "UPDATE core.notices SET next_at = now() WHERE next_at IS NOT NULL"


def subjects(watch: Watch) -> set[str]:
    return {each["data"]["subject"] for each in watch.posts if each["data"]["rule"] == "queue"}


async def look_until(watch: Watch, told: list[str]) -> None:
    async with asyncio.timeout(20):
        while watch.told("queue") != told:
            await asyncio.sleep(0.2)
            await watch.look()


async def test_a_task_that_keeps_its_worker_is_told_until_the_next_tick_is_begun(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    begun, free = asyncio.Event(), asyncio.Event()

    async def stick() -> None:
        begun.set()
        await free.wait()

    async def run() -> None:
        """Was due at the last full hour, and is not again for long."""

    async with watched(database, **SHORT) as watch:
        hourly = Task(name="core.hourly", cron="0 * * * *", run=run)
        stuck = replace(CORE, tasks=(hourly, Task(name="core.stick", cron=EVERY_SECOND, run=stick)), services=())
        watch.house.apps = (stuck, *watch.house.apps[1:])
        async with working(Place(watch.house, (stuck,))):
            await begun.wait()
            while await owner.fetchval("SELECT count(*) FROM core.cron_ticks") < 2:
                await asyncio.sleep(0.02)
            await look_until(watch, ["fired"])
            assert subjects(watch) == {"task core.stick"}
            free.set()
            await look_until(watch, TOLD)


async def test_a_transaction_that_no_block_takes_is_told(database: TestDatabase) -> None:
    async with anvil(accounts=1) as node, watched(database, **SHORT) as watch:
        key = Account.from_key(node.accounts[0].private_key)
        sender = Sender(watch.house.database, Chain("ethereum", 31_337, node.rpc, 1), key)
        await node.rpc.call("evm_setAutomine", [False])
        await sender.send("a gift", "0x" + "1" * 40, b"")
        await look_until(watch, ["fired"])
        assert subjects(watch) == {"core.chain_transactions"}
        await node.mine(1)
        await sender.tend()
        await look_until(watch, TOLD)


async def test_a_notice_that_is_not_taken_is_told_to_who_does_take_it(
    database: TestDatabase, owner: asyncpg.Connection
) -> None:
    soon = changed(queue=AlertSettings(threshold=0.5, hold=0), transaction=AlertSettings(threshold=0, hold=0))
    async with watched(database, alerts=soon) as watch:
        watch.answers = [503] * 2
        async with owner.transaction():
            await owner.execute("SELECT 1")
            await watch.look()
            assert watch.posts == []  # the webhook is away
            await asyncio.sleep(0.6)
            await watch.look()
        assert [each["Subject"] for each in watch.letters.all][-1] == "[entrepot] fired: queue core.notices"
        await owner.execute(DUE)
        await deliver(watch.house.database, watch.house.settings)
        await watch.look()
        assert watch.told("queue") == TOLD
