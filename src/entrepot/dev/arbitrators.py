"""The demonstration's arbitrators: three wallets, always the same, each with a stake in the pool of the local chain."""

import hashlib
from decimal import Decimal

from eth_account import Account

from entrepot import console
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.chains import Chain, Chains
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.db.database import Database
from entrepot.kernel.money import to_units
from entrepot.kernel.settings import Settings

STAKES = {"Arbiter of the Danube": 500, "Arbiter of the Elbe": 1_000, "Arbiter of the Rhine": 2_500}
"""Whole tokens, by what each is called; the least that a pool takes is 500."""
ONE_ETHER = 10**18
POOL = Contract(Artifact.load("ArbitratorPool").abi)
TOKEN = Contract(Artifact.load("TestUSDT").abi)


async def staff(settings: Settings, chain: str) -> None:
    """Registers those of them who are in the pool no more or not yet; what is staked can be minted there."""
    async with Chains(settings.chains) as chains, Database(settings.database_url, settings) as database:
        async with database.read() as db:
            pool = await registry.find(db, chain, "ArbitratorPool")
            token = await registry.find(db, chain, "USDT")
        if pool is None or token is None:
            return
        for name, stake in STAKES.items():
            await _register(chains.named(chain), pool, token, name, stake)
    console.mark("good", f"{len(STAKES)} arbitrators have staked {sum(STAKES.values())} USDT")


async def _register(chain: Chain, pool: Deployed, token: Deployed, name: str, stake: int) -> None:
    """Gives the wallet what it needs, and stakes it."""
    account = SigningAccount(
        Account.from_key(hashlib.sha256(f"entrepot demo {name}".encode()).digest()), chain.rpc, chain.id
    )
    asked = await chain.rpc.call_contract(pool.address, POOL.encode_call("getArbitrator", account.address))
    if POOL.decode_result("getArbitrator", asked).stake:
        return
    await chain.rpc.call("anvil_setBalance", [account.address, hex(ONE_ETHER)])
    units = to_units(Decimal(stake), token.decimals or 0)
    await account.send(token.address, TOKEN.encode_call("mint", account.address, units))
    await account.send(token.address, TOKEN.encode_call("approve", pool.address, units))
    await account.send(pool.address, POOL.encode_call("register", units))
