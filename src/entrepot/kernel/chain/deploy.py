"""Puts the escrow and its pool on a chain, and test tokens where the chain is a test, and notes where they are."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace

from entrepot.kernel.chain import registry
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.chain.rpc import Receipt
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.wallet import ZERO, Wallet, checksum

ESCROW, POOL = "P2PEscrow", "ArbitratorPool"
TEST_TOKENS = {"USDT": ("TestUSDT", "Test USDT"), "USDC": ("TestUSDC", "Test USDC")}
REAL_MONEY = frozenset({1, 56, 42161, 8453})  # EIP-155 ids of Ethereum, BSC, Arbitrum One and Base
DECIMALS = Contract(Artifact.load("TestUSDC").abi)


class CannotDeploy(Exception):
    """A deployment that would be wrong; nothing was sent."""


@dataclass(frozen=True)
class Plan:
    """What is to be deployed. `tokens` are addresses by symbol; `fee_bps` is hundredths of a percent.

    `stake` is the symbol of what arbitrators stake, one of the tokens; where it is not said, USDT, or what else there
    is.
    """

    treasury: str
    tokens: Mapping[str, str]
    fee_bps: int = 200
    stake: str = ""
    test_tokens: bool = False
    again: bool = False

    @property
    def stake_symbol(self) -> str:
        """What arbitrators stake."""
        known = TEST_TOKENS if self.test_tokens else self.tokens
        return self.stake or ("USDT" if "USDT" in known else next(iter(known)))

    def paid_to(self, deployer: str) -> "Plan":
        """With the deployer as treasury where there is no other."""
        return replace(self, treasury=self.treasury or deployer)


@dataclass(frozen=True)
class Step:
    """What one transaction did."""

    what: str
    receipt: Receipt
    contract: Deployed | None = None


def test_token_decimals(chain: str) -> int:
    """As the tokens that people use have: 18 on BSC, 6 elsewhere."""
    return 18 if chain == "bsc" else 6


async def standing(chain: Chain, database: Database) -> Deployed | None:
    """The escrow contract that is noted for this chain and really there."""
    async with database.read() as db:
        known = await registry.find(db, chain.name, ESCROW)
    return known if known is not None and await chain.rpc.code(known.address) else None


async def check(chain: Chain, database: Database, plan: Plan) -> None:
    """Raises `CannotDeploy` for another chain than the settings say, a second deployment, or tokens that are none."""
    answered = await chain.rpc.chain_id()
    if answered != chain.id:
        raise CannotDeploy(f"the endpoint of {chain.name} is of chain {answered}, and the settings say {chain.id}")
    if plan.test_tokens and chain.id in REAL_MONEY:
        raise CannotDeploy(f"test tokens can be minted by anyone and do not belong on {chain.name}; give --token")
    if not plan.test_tokens and not plan.tokens:
        raise CannotDeploy("give the tokens that buyers may pay with (--token USDT=0x...), or --test-tokens")
    if unknown := sorted({*plan.tokens} - {*TEST_TOKENS}):
        raise CannotDeploy(f"orders can be in {' or '.join(TEST_TOKENS)}, not in {', '.join(unknown)}")
    if plan.stake_symbol not in {*plan.tokens, *(TEST_TOKENS if plan.test_tokens else ())}:
        raise CannotDeploy(f"arbitrators are to stake {plan.stake_symbol}, which is not one of the tokens")
    known = await standing(chain, database)
    if known is not None and not plan.again:
        raise CannotDeploy(f"{ESCROW} is on {chain.name} already, at {known.address}; --again makes another")
    for symbol, address in plan.tokens.items():
        if not await chain.rpc.code(address):
            raise CannotDeploy(f"there is no contract at {address}, which was given as {symbol}")


async def check_unused(chain: Chain, database: Database, held: Iterable[Query]) -> None:
    """Raises `CannotDeploy` where something is in the contracts that are there: `held` count it."""
    known = await standing(chain, database)
    async with database.read() as db:
        if known is not None and (count := sum([await db.value(each, chain=chain.name) for each in held])):
            raise CannotDeploy(
                f"{known.address} on {chain.name} is in use, with {count} on record, and another contract would give "
                "the same numbers again; put it on another chain, or begin with another database"
            )


async def deploy(chain: Chain, account: SigningAccount, database: Database, plan: Plan) -> AsyncIterator[Step]:
    """Deploys, and yields each step once it is in a block and noted.

    The escrow is noted last, when the pool serves it and it takes its tokens: what was noted can be used, whatever
    ended the deployment early, and the next one goes on from there. Nothing of an earlier one is used again where
    another is wanted beside it.
    """
    await check(chain, database, plan)
    tokens = dict(plan.tokens)
    known = {} if plan.again else await _noted(chain, database)
    if plan.test_tokens:
        for symbol, (artifact, name) in TEST_TOKENS.items():
            if symbol in known:
                tokens[symbol] = known[symbol].address
                continue
            coin = await _create(account, artifact, name, symbol, test_token_decimals(chain.name))
            tokens[symbol] = checksum(str(coin.contract))
            yield Step(f"{artifact} deployed", coin, await _note(chain, database, symbol, coin, tokens[symbol]))
    for symbol, token in plan.tokens.items():
        await _note_token(chain, database, symbol, token)
    pool = known.get(POOL)
    if pool is not None and await _owner_and_token(chain, pool) != (account.address, tokens[plan.stake_symbol]):
        pool = None
    if pool is None:
        made = await _create(account, POOL, tokens[plan.stake_symbol])
        pool = await _note(chain, database, POOL, made, checksum(str(made.contract)))
        yield Step(f"{POOL} deployed", made, pool)
    async for step in _escrow(chain, account, database, plan, tokens, pool):
        yield step


async def _escrow(
    chain: Chain, account: SigningAccount, database: Database, plan: Plan, tokens: Mapping[str, str], pool: Deployed
) -> AsyncIterator[Step]:
    """The escrow of that pool; where the pool serves one already, that was all done but for the note."""
    served = await _ask(chain, pool.address, POOL, "escrow")
    if served != ZERO:
        terms = await _ask(chain, served, ESCROW, "treasury"), await _ask(chain, served, ESCROW, "feeBps")
        if terms != (plan.treasury, str(plan.fee_bps)):
            raise CannotDeploy(f"{ESCROW} was put at {served} with treasury and fee {terms}; --again makes another")
        await _note_at(chain, database, ESCROW, served, pool.block)
        return
    made = await _create(account, ESCROW, pool.address, plan.treasury, plan.fee_bps)
    address = checksum(str(made.contract))
    yield Step(f"{ESCROW} deployed", made, Deployed(chain.name, ESCROW, Wallet(address), None, made.block_number))
    escrow = Contract(Artifact.load(ESCROW).abi)
    for symbol, token in tokens.items():
        allowed = await account.send(address, escrow.encode_call("setSupportedToken", token, True))
        yield Step(f"{symbol} allowed", allowed)
    named = await account.send(pool.address, Contract(Artifact.load(POOL).abi).encode_call("setEscrow", address))
    yield Step(f"{POOL} serves the {ESCROW}", named)
    await _note(chain, database, ESCROW, made, address)


async def _noted(chain: Chain, database: Database) -> dict[str, Deployed]:
    """What an earlier deployment noted on this chain and is really there, by name."""
    async with database.read() as db:
        known = [each for each in await registry.everything(db) if each.chain == chain.name]
    return {each.name: each for each in known if await chain.rpc.code(each.address)}


async def _owner_and_token(chain: Chain, pool: Deployed) -> tuple[str, str]:
    """Whose pool it is, and what is staked in it."""
    return await _ask(chain, pool.address, POOL, "owner"), await _ask(chain, pool.address, POOL, "stakeToken")


async def _ask(chain: Chain, address: str, name: str, view: str) -> str:
    """What a view of a contract of ours answers, as text."""
    abi = Contract(Artifact.load(name).abi)
    answer = await chain.rpc.call_contract(address, abi.encode_call(view))
    return str(abi.decode_result(view, answer))


async def _create(account: SigningAccount, name: str, *arguments: object) -> Receipt:
    built = Artifact.load(name)
    return await account.send(None, built.bytecode + Contract(built.abi).encode_constructor(*arguments))


async def _note(chain: Chain, database: Database, name: str, receipt: Receipt, address: str) -> Deployed:
    return await _note_at(chain, database, name, address, receipt.block_number)


async def _note_token(chain: Chain, database: Database, symbol: str, address: str) -> Deployed:
    """A token that was there before us; only what comes from now on is of our concern."""
    return await _note_at(chain, database, symbol, address, await chain.rpc.head())


async def _note_at(chain: Chain, database: Database, name: str, address: str, block: int) -> Deployed:
    decimals = None
    if name not in (ESCROW, POOL):
        answer = await chain.rpc.call_contract(address, DECIMALS.encode_call("decimals"))
        decimals = int(DECIMALS.decode_result("decimals", answer))
    noted = Deployed(chain.name, name, Wallet(address), decimals, block)
    async with database.write() as db:
        await registry.register(db, noted)
    return noted
