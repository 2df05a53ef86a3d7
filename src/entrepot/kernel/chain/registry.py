"""Where this market's contracts and tokens are, on each chain."""

import msgspec

from entrepot.kernel.db.doors import Read, Write
from entrepot.kernel.db.query import Query
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.wallet import Wallet

ADD = Query("""
    INSERT INTO core.contracts (chain, name, address, decimals, block)
    VALUES (:chain, :name, :address, :decimals, :block)
    ON CONFLICT (chain, name) DO UPDATE
    SET address = excluded.address, decimals = excluded.decimals, block = excluded.block
""")
FIND = Query("SELECT chain, name, address, decimals, block FROM core.contracts WHERE chain = :chain AND name = :name")
ALL = Query("SELECT chain, name, address, decimals, block FROM core.contracts ORDER BY chain, name")


class Deployed(msgspec.Struct, frozen=True):
    """A contract of ours: an artefact by its name, or a token by its symbol, with its decimals."""

    chain: str
    name: str
    address: Wallet
    decimals: int | None
    block: int


async def register(db: Write, contract: Deployed) -> None:
    """Notes where a contract is; a later deployment under the same name takes its place."""
    await db.run(
        ADD,
        chain=contract.chain,
        name=contract.name,
        address=contract.address,
        decimals=contract.decimals,
        block=contract.block,
    )


async def find(db: Read, chain: str, name: str) -> Deployed | None:
    """The contract of that name, if it is on that chain."""
    return await db.maybe(Deployed, FIND, chain=chain, name=name)


async def require(db: Read, chain: str, name: str, field: str) -> Deployed:
    """The contract of that name; refuses, naming the input field, where it is not on that chain."""
    found = await find(db, chain, name)
    if found is None:
        raise Malformed(field, f"{name} is not on {chain} in this market")
    return found


async def everything(db: Read) -> list[Deployed]:
    """All contracts and tokens on all chains."""
    return await db.all(Deployed, ALL)
