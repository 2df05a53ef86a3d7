"""The pool of arbitrators on a real EVM node: what it asks of who joins it, and who does."""

from dataclasses import dataclass

from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from tests.bazaar import TOKEN, Bazaar

POOL = Contract(Artifact.load("ArbitratorPool").abi)
STAKE = 1_000  # whole tokens
BLOCKS_TO_A_DRAW = 6


@dataclass(frozen=True)
class Court:
    """The pool of one escrow, its token and the stake that everyone brings here, in base units."""

    pool: str
    token: str
    stake: int


async def court_of(bazaar: Bazaar) -> Court:
    """As the contracts themselves say."""
    rpc, pool = bazaar.node.rpc, str(await bazaar.call("pool"))
    answer = await rpc.call_contract(pool, POOL.encode_call("stakeToken"))
    token = str(POOL.decode_result("stakeToken", answer))
    answer = await rpc.call_contract(token, TOKEN.encode_call("decimals"))
    return Court(pool, token, STAKE * 10 ** int(TOKEN.decode_result("decimals", answer)))


async def joins(bazaar: Bazaar, *wallets: str) -> None:
    """Accounts that the node signs for join."""
    court = await court_of(bazaar)
    for wallet in wallets:
        await bazaar.send(wallet, court.token, TOKEN.encode_call("mint", wallet, court.stake))
        await bazaar.send(wallet, court.token, TOKEN.encode_call("approve", court.pool, court.stake))
        await bazaar.send(wallet, court.pool, POOL.encode_call("register", court.stake))
    await bazaar.settled()


async def joins_by_own_hand(bazaar: Bazaar, account: SigningAccount) -> None:
    """Somebody with a key joins, and is given the stake."""
    court = await court_of(bazaar)
    await bazaar.send(bazaar.parties[0].address, court.token, TOKEN.encode_call("mint", account.address, court.stake))
    await bazaar.settled()
    await account.send(court.token, TOKEN.encode_call("approve", court.pool, court.stake))
    await account.send(court.pool, POOL.encode_call("register", court.stake))


async def stake_of(bazaar: Bazaar, wallet: str) -> int:
    """What it has at stake now, in base units."""
    court = await court_of(bazaar)
    answer = await bazaar.node.rpc.call_contract(court.pool, POOL.encode_call("getArbitrator", wallet))
    return int(POOL.decode_result("getArbitrator", answer).stake)
