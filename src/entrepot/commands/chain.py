"""`entrepot chain`: puts the contracts on a chain, and tells where they are and how far the mirrors have read."""

import os
from collections.abc import Sequence
from pathlib import Path

import typer
from eth_account import Account
from eth_account.signers.local import LocalAccount

from entrepot import console
from entrepot.commands import here
from entrepot.commands.standing import ChainStanding, ContractStanding, standings
from entrepot.console import Failed
from entrepot.kernel.chain import deploy as deployment
from entrepot.kernel.chain import keys
from entrepot.kernel.chain.account import SigningAccount, TransactionFailed
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.chain.deploy import CannotDeploy, Plan
from entrepot.kernel.chain.rpc import ChainFailure
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.settings import Settings
from entrepot.kernel.wallet import Wallet
from entrepot.main import House, find_apps
from entrepot.usage.chain import KEY_VARIABLE

KEEPER = "keeper"  # the name of its sealed key


def read_wallet(text: str) -> Wallet:
    """An address as an option gives it."""
    try:
        return Wallet.parse(text)
    except ValueError as wrong:
        raise typer.BadParameter(f"{text}: {wrong}") from None


def read_tokens(given: Sequence[str]) -> dict[str, str]:
    """Addresses by symbol, from SYMBOL=0x..."""
    found: dict[str, str] = {}
    for each in given:
        symbol, sign, address = each.partition("=")
        if not sign or not symbol:
            raise typer.BadParameter(f"{each!r} should be like USDT=0x...")
        found[symbol.upper()] = read_wallet(address)
    return found


def read_key(file: Path | None) -> str:
    """The deployer's key, from a file or the environment; never an argument, which others on the machine can read."""
    key = os.environ.get(KEY_VARIABLE, "") if file is None else file.read_text()
    if not key.strip():
        raise typer.BadParameter(f"give the deployer's key with --key-file, or in {KEY_VARIABLE}")
    return key


def deploy(
    chain: str,
    token: list[str] | None,
    treasury: str,
    stake: str,
    fee_bps: int,
    key_file: Path | None,
    *,
    test_tokens: bool,
    again: bool,
) -> None:
    """Does `entrepot chain deploy`."""
    tokens, key = read_tokens(token or ()), read_key(key_file)
    plan = Plan(read_wallet(treasury) if treasury else "", tokens, fee_bps, stake.upper(), test_tokens, again)
    with here.database() as settings:
        here.run(carry_out(settings, chain, key, plan), settings.database_url)


async def carry_out(settings: Settings, name: str, key: str, plan: Plan) -> None:
    """Deploys and shows every step."""
    settings.chain(name)
    apps = find_apps(settings.apps)
    await here.require_current(settings.database_url, apps)
    try:
        async with Chains(settings.chains) as chains, Database(settings.database_url, settings) as database:
            chain = chains.named(name)
            account = SigningAccount.from_key(key, chain.rpc, chain.id)
            if plan.again:
                await deployment.check_unused(chain, database, [Query(app.held) for app in apps if app.held])
            console.line(f"Deploying to [name]{name}[/] (chain {chain.id}) as {account.address}")
            async for step in deployment.deploy(chain, account, database, plan.paid_to(account.address)):
                at = f" at {step.contract.address}" if step.contract else ""
                console.mark("good", f"{step.what}{at}", step.receipt.tx_hash)
    except (CannotDeploy, TransactionFailed, ChainFailure, ValueError) as failed:
        raise Failed(str(failed)) from None


def keeper(key_file: Path | None) -> None:
    """Does `entrepot chain keeper`."""
    given = None if key_file is None else read_account(key_file)
    with here.database() as settings:
        address, is_new = here.run(keep_keeper(settings, given), settings.database_url)
    console.mark("good", f"the keeper is {address}", "new; send it gas on every chain" if is_new else "")


def read_account(file: Path) -> LocalAccount:
    """The account whose key the file holds."""
    try:
        account: LocalAccount = Account.from_key(file.read_text().strip())
    except Exception:  # noqa: BLE001 - what eth-keys says may hold the key
        raise typer.BadParameter(f"{file} does not hold a private key") from None
    return account


async def keep_keeper(settings: Settings, given: LocalAccount | None = None) -> tuple[str, bool]:
    """The keeper's address, and whether its key is new."""
    await here.require_current(settings.database_url, find_apps(settings.apps))
    async with House(settings) as house:
        async with house.database.read() as db:
            known = await keys.find_key(db, house.vault, KEEPER)
        if known is not None and given is None:
            return known.address, False
        account = given or Account.create()
        async with house.database.write() as db:
            await keys.keep_key(db, house.vault, KEEPER, account)
        return account.address, True


def status(*, json: bool) -> None:
    """Does `entrepot chain status`."""
    with here.database() as settings:
        found = here.run(standings(settings, find_apps(settings.apps)), settings.database_url)
    if json:
        console.as_json([each.as_json() for each in found])
    else:
        show(found)
    raise typer.Exit(0 if found and all(each.is_well for each in found) else 1)


def told(chain: ChainStanding, contract: ContractStanding) -> str:
    """Whether the contract is there; nothing where no endpoint could say."""
    if chain.head is None:
        return ""
    return "has code" if contract.has_code else "NO CODE"


def show(found: Sequence[ChainStanding]) -> None:
    """As text."""
    if not found:
        console.mark("bad", "no chain is configured", "set ENTREPOT_CHAINS, or run entrepot up")
    for chain in found:
        console.mark("good" if chain.is_well else "bad", f"[name]{chain.name}[/]", f"chain {chain.chain_id}")
        for endpoint in chain.endpoints:
            console.line(f"  {endpoint.name}  {endpoint.told}")
        rows = [
            (each.name, each.address, told(chain, each), str(each.block), each.lag_told) for each in chain.contracts
        ]
        if rows:
            console.table(("  contract", "address", "", "since block", "mirror"), [(f"  {r[0]}", *r[1:]) for r in rows])
        else:
            console.line(f"  nothing is deployed; entrepot chain deploy --chain {chain.name}")
