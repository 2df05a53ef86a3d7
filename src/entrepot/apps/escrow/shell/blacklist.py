"""`entrepot escrow blacklist`: what the operator's routes do, and the import of a list, without a server."""

from pathlib import Path

import msgspec
import typer

from entrepot import console
from entrepot.apps.escrow.calls.blacklist import BlacklistEntry, PardonWallet, Reason
from entrepot.apps.escrow.model import BlacklistSource
from entrepot.apps.escrow.operations import blacklist as operations
from entrepot.apps.escrow.operations.blacklist import BadList, read_list
from entrepot.apps.escrow.refusals import NotBlacklisted
from entrepot.console import Failed
from entrepot.kernel.command import InHouse
from entrepot.kernel.db.database import Database
from entrepot.kernel.values import write_value
from entrepot.kernel.wallet import Wallet


def read_wallet(text: str) -> Wallet:
    """An address as an argument gives it."""
    try:
        return Wallet.parse(text)
    except ValueError as wrong:
        raise typer.BadParameter(f"{text}: {wrong}") from None


def read_reason(text: str) -> Reason:
    """A reason as an option gives it."""
    try:
        return Reason.parse(text)
    except ValueError as wrong:
        raise typer.BadParameter(f"--reason {wrong}") from None


def read_file(file: Path) -> list[Wallet]:
    """The wallets of a list; raises `Failed` where a line of it is none."""
    try:
        return read_list(file.read_text("utf-8-sig"))
    except BadList as bad:
        raise Failed(f"{file.name}, {bad}", "nothing was imported; mend the line, or put a # before it") from None
    except UnicodeDecodeError:
        raise Failed(f"{file.name} is no text in UTF-8", "nothing was imported") from None


def show(context: typer.Context, source: BlacklistSource | None, *, json: bool) -> None:
    """Does `entrepot escrow blacklist list`."""
    in_house: InHouse = context.obj
    found = in_house(everyone, source=source)
    if json:
        console.as_json(msgspec.to_builtins(found, enc_hook=write_value))
        return
    rows = [(each.wallet, each.source, f"{each.created_at:%Y-%m-%d %H:%M}", each.reason) for each in found]
    console.table(("wallet", "source", "since (UTC)", "reason"), rows)


def add(context: typer.Context, wallet: str, reason: str, source: BlacklistSource) -> None:
    """Does `entrepot escrow blacklist add`."""
    in_house: InHouse = context.obj
    given = read_wallet(wallet)
    if not in_house(put, wallets=[given], reason=read_reason(reason), source=source, bar=None):
        raise Failed(f"{given} is on the blacklist already")
    console.mark("good", f"{given} is on the blacklist")


def remove(context: typer.Context, wallet: str) -> None:
    """Does `entrepot escrow blacklist remove`."""
    in_house: InHouse = context.obj
    given = read_wallet(wallet)
    try:
        in_house(pardon, wallet=given)
    except NotBlacklisted:
        raise Failed(f"{given} is not on the blacklist") from None
    console.mark("good", f"{given} is off the blacklist")


def import_file(context: typer.Context, file: Path, source: BlacklistSource, reason: str) -> None:
    """Does `entrepot escrow blacklist import`."""
    in_house: InHouse = context.obj
    why, wallets = read_reason(reason), read_file(file)
    with console.bar("Importing", len(wallets), f"read {len(wallets)} wallets from {file.name}") as bar:
        added = in_house(put, wallets=wallets, reason=why, source=source, bar=bar)
    console.mark("good", f"{added} added, {len(wallets) - added} already there")


async def everyone(database: Database, source: BlacklistSource | None) -> list[BlacklistEntry]:
    """All who are on it."""
    async with database.read() as db:
        return await operations.everyone(db, source)


async def put(
    database: Database, wallets: list[Wallet], reason: Reason, source: BlacklistSource, bar: console.Bar | None
) -> int:
    """Adds them all in one transaction and answers how many were not there."""
    async with database.write() as db:
        return await operations.import_list(db, wallets, reason, source, bar.advance if bar else lambda _more: None)


async def pardon(database: Database, wallet: Wallet) -> None:
    """Removes one."""
    async with database.write() as db:
        await operations.pardon_wallet(db, PardonWallet(wallet=wallet))
