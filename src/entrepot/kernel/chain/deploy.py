"""Puts the escrow contract on a chain, and test tokens where the chain is a test, and notes where they are."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace

from entrepot.kernel.chain import registry
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.chain.account import SigningAccount
from entrepot.kernel.chain.artifacts import Artifact
from entrepot.kernel.chain.chains import Chain
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.chain.rpc import Receipt
from entrepot.kernel.db.database import Database
from entrepot.kernel.wallet import ZERO, Wallet, checksum

ESCROW = "P2PEscrow"
TEST_TOKENS = {"USDT": ("TestUSDT", "Test USDT"), "USDC": ("TestUSDC", "Test USDC")}
REAL_MONEY = frozenset({1, 56, 42161, 8453})  # EIP-155 ids of Ethereum, BSC, Arbitrum One and Base
DECIMALS = Contract(Artifact.load("TestUSDC").abi)


class CannotDeploy(Exception):
    """A deployment that would be wrong; nothing was sent."""


@dataclass(frozen=True)
class Plan:
    """What is to be deployed. `tokens` are addresses by symbol; `fee_bps` is hundredths of a percent."""

    treasury: str
    tokens: Mapping[str, str]
    fee_bps: int = 200
    pool: str = ZERO
    test_tokens: bool = False
    again: bool = False

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
    known = await standing(chain, database)
    if known is not None and not plan.again:
        raise CannotDeploy(f"{ESCROW} is on {chain.name} already, at {known.address}; --again makes another")
    for symbol, address in plan.tokens.items():
        if not await chain.rpc.code(address):
            raise CannotDeploy(f"there is no contract at {address}, which was given as {symbol}")


async def deploy(chain: Chain, account: SigningAccount, database: Database, plan: Plan) -> AsyncIterator[Step]:
    """Deploys, and yields each step once it is in a block and noted.

    The escrow is noted last, when it takes its tokens: what was noted can be used, whatever ended the deployment early.
    """
    await check(chain, database, plan)
    tokens = dict(plan.tokens)
    if plan.test_tokens:
        for symbol, (artifact, name) in TEST_TOKENS.items():
            step = await _create(account, artifact, name, symbol, test_token_decimals(chain.name))
            tokens[symbol] = checksum(str(step.contract))
            yield Step(f"{artifact} deployed", step, await _note(chain, database, symbol, step, tokens[symbol]))
    made = await _create(account, ESCROW, plan.pool, plan.treasury, plan.fee_bps)
    address = checksum(str(made.contract))
    yield Step(f"{ESCROW} deployed", made, Deployed(chain.name, ESCROW, Wallet(address), None, made.block_number))
    escrow = Contract(Artifact.load(ESCROW).abi)
    for symbol, token in tokens.items():
        allowed = await account.send(address, escrow.encode_call("setSupportedToken", token, True))
        if not plan.test_tokens or symbol not in TEST_TOKENS:
            await _note(chain, database, symbol, allowed, token)
        yield Step(f"{symbol} allowed", allowed)
    await _note(chain, database, ESCROW, made, address)


async def _create(account: SigningAccount, name: str, *arguments: object) -> Receipt:
    built = Artifact.load(name)
    return await account.send(None, built.bytecode + Contract(built.abi).encode_constructor(*arguments))


async def _note(chain: Chain, database: Database, name: str, receipt: Receipt, address: str) -> Deployed:
    decimals = None
    if name != ESCROW:
        answer = await chain.rpc.call_contract(address, DECIMALS.encode_call("decimals"))
        decimals = int(DECIMALS.decode_result("decimals", answer))
    noted = Deployed(chain.name, name, Wallet(address), decimals, receipt.block_number)
    async with database.write() as db:
        await registry.register(db, noted)
    return noted
