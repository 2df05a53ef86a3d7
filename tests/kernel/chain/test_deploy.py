"""Deployment: the pool serves the escrow and only then is it known, and one that was cut short is made good."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from entrepot.dev.anvil import anvil
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.deploy import CannotDeploy, Plan, deploy, standing
from entrepot.kernel.chain.registry import Deployed, everything
from entrepot.kernel.db.database import Database
from tests.conftest import TestDatabase, settings_for

EVERYTHING = [
    "TestUSDT deployed",
    "TestUSDC deployed",
    "ArbitratorPool deployed",
    "P2PEscrow deployed",
    "USDT allowed",
    "USDC allowed",
    "ArbitratorPool serves the P2PEscrow",
]


class Site:
    """A bare chain, and who deploys there."""

    def __init__(self, chain: Chain, account: SigningAccount, doors: Database) -> None:
        self.chain, self.account, self.doors = chain, account, doors
        self.plan = Plan(treasury=account.address, tokens={}, test_tokens=True)

    async def deploy(self, plan: Plan | None = None, *, steps: int | None = None) -> list[str]:
        """What was done, up to that many steps; then it is as if the process were killed."""
        done: list[str] = []
        async for step in deploy(self.chain, self.account, self.doors, plan or self.plan):
            done.append(step.what)
            if len(done) == steps:
                break
        return done

    async def known(self) -> dict[str, Deployed]:
        async with self.doors.read() as db:
            return {one.name: one for one in await everything(db)}

    async def ask(self, name: str, view: str) -> str:
        abi = Contract(Artifact.load(name).abi)
        at = (await self.known())[name].address
        return str(abi.decode_result(view, await self.chain.rpc.call_contract(at, abi.encode_call(view))))


@pytest.fixture
async def site(database: TestDatabase) -> AsyncIterator[Site]:
    async with opened(database) as made:
        yield made


@asynccontextmanager
async def opened(database: TestDatabase) -> AsyncIterator[Site]:
    async with Database(database.url, settings_for(database)) as doors, anvil(accounts=2) as node:
        account = SigningAccount.from_key(node.accounts[0].private_key, node.rpc, 31_337)
        yield Site(Chain("ethereum", 31_337, node.rpc, 1), account, doors)


async def test_pool_and_escrow_know_each_other(site: Site) -> None:
    assert await site.deploy() == EVERYTHING
    known = await site.known()
    assert await site.ask("ArbitratorPool", "escrow") == known["P2PEscrow"].address
    assert await site.ask("P2PEscrow", "pool") == known["ArbitratorPool"].address
    assert await site.ask("ArbitratorPool", "stakeToken") == known["USDT"].address
    with pytest.raises(CannotDeploy, match="already"):
        await site.deploy()


@pytest.mark.parametrize("steps", range(1, len(EVERYTHING) + 1))
async def test_a_deployment_that_was_cut_short_anywhere_is_made_good(site: Site, steps: int) -> None:
    await site.deploy(steps=steps)
    assert await standing(site.chain, site.doors) is None, "nobody is sent to an escrow that is not ready"
    before = await site.known()
    await site.deploy()
    known = await site.known()
    assert {name: known[name] for name in before} == before, "what stood is used"
    assert await site.ask("ArbitratorPool", "escrow") == known["P2PEscrow"].address
    assert await site.ask("P2PEscrow", "pool") == known["ArbitratorPool"].address


async def test_another_one_beside_it_has_a_pool_of_its_own(site: Site) -> None:
    await site.deploy()
    first = await site.known()
    assert await site.deploy(Plan(site.account.address, {}, test_tokens=True, again=True)) == EVERYTHING
    second = await site.known()
    assert all(first[name].address != second[name].address for name in first)


async def test_what_was_begun_on_other_terms_is_not_taken_over(site: Site) -> None:
    await site.deploy(steps=len(EVERYTHING))
    with pytest.raises(CannotDeploy, match="--again"):
        await site.deploy(Plan(site.account.address, {}, fee_bps=300, test_tokens=True))


async def test_a_token_that_no_order_can_be_in_is_refused_before_anything_is_sent(site: Site) -> None:
    """Its first order would stop the chain's mirror."""
    await site.deploy()
    token = (await site.known())["USDT"].address
    with pytest.raises(CannotDeploy, match="DAI"):
        await site.deploy(Plan(site.account.address, {"USDT": token, "DAI": token}, again=True))


async def test_arbitrators_stake_one_of_the_tokens(site: Site) -> None:
    with pytest.raises(CannotDeploy, match="DAI"):
        await site.deploy(Plan(site.account.address, {}, stake="DAI", test_tokens=True))
    await site.deploy(Plan(site.account.address, {}, stake="USDC", test_tokens=True))
    assert await site.ask("ArbitratorPool", "stakeToken") == (await site.known())["USDC"].address
