"""`entrepot escrow`, as a shell sees it: what it prints, what it does, and its exit status."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from unittest import mock

import asyncpg
import msgspec
import pytest
from eth_account import Account

from entrepot import cli
from entrepot.kernel.db.database import Database
from entrepot.kernel.settings import ChainSettings
from entrepot.kernel.wallet import Wallet
from tests import bazaar
from tests.apps.escrow.chain.deals import GOOD, ONE, indexing, mirror_pool
from tests.apps.escrow.chain.test_audit import DEAD, traded
from tests.apps.escrow.conftest import opened_market
from tests.bazaar import Bazaar
from tests.conftest import TestDatabase
from tests.test_cli import Told, clean

Shell = Callable[..., Awaitable[Told]]
BLACKLIST = "SELECT wallet, reason, source, added_by FROM escrow.blacklist ORDER BY wallet"
ONE_WALLET, OTHER_WALLET = Wallet.parse("0x" + "a" * 40), Wallet.parse("0x" + "b" * 40)
LIST = f"""# wallets that somebody listed
{ONE_WALLET.lower()}

  {OTHER_WALLET}   # with its checksum
0x{ONE_WALLET[2:].upper()}
"""


@pytest.fixture
async def exchange(doors: Database) -> AsyncIterator[Bazaar]:
    async with bazaar.opened(doors) as made:
        yield made


@pytest.fixture
def shell(database: TestDatabase, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shell:
    """One command to its end, in a thread of this process."""
    given = {
        "DATABASE_URL": database.url,
        "DATABASE_OWNER_URL": database.owner_url,
        "ENTREPOT_HOME": str(tmp_path / "home"),
    }

    def call(*arguments: str, chains: tuple[ChainSettings, ...] = ()) -> Told:
        told = given | {"ENTREPOT_CHAINS": msgspec.json.encode(chains).decode()}
        with mock.patch.dict(os.environ, clean(told), clear=True), pytest.raises(SystemExit) as ended:
            cli.main(("escrow", *arguments))
        said = capsys.readouterr()
        return Told(int(ended.value.code or 0), said.out, said.err)

    async def apart(*arguments: str, chains: tuple[ChainSettings, ...] = ()) -> Told:
        return await asyncio.to_thread(call, *arguments, chains=chains)

    return apart


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "list.txt"
    write(made, LIST)
    return made


def write(file: Path, text: str, encoding: str = "utf-8") -> None:
    file.write_text(text, encoding)


async def test_a_list_is_imported_and_tells_what_was_new(shell: Shell, owner: asyncpg.Connection, file: Path) -> None:
    taken = ("blacklist", "import", str(file), "--source", "tornado", "--reason", "on the list")
    told = await shell(*taken)
    assert told.returncode == 0
    assert "2 added, 0 already there" in told.stdout
    entry = ("on the list", "tornado", None)
    assert [tuple(row) for row in await owner.fetch(BLACKLIST)] == [(ONE_WALLET, *entry), (OTHER_WALLET, *entry)]
    write(file, LIST + "0x" + "c" * 40)
    told = await shell(*taken)
    assert (told.returncode, "1 added, 2 already there" in told.stdout) == (0, True)
    assert await owner.fetchval("SELECT count(*) FROM escrow.blacklist") == 3


@pytest.mark.parametrize("line", ["0x12", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD", "a" * 42, "0x" + "a" * 41])
async def test_a_bad_line_is_named_and_nothing_is_imported(
    shell: Shell, owner: asyncpg.Connection, file: Path, line: str
) -> None:
    write(file, f"{LIST}{line}\n0x{'d' * 40}\n")
    told = await shell("blacklist", "import", str(file), "--source", "community", "--reason", "x")
    assert told.returncode == 1
    assert f"list.txt, line 6: {line!r}" in told.stderr
    assert "nothing was imported" in told.stderr
    assert await owner.fetchval("SELECT count(*) FROM escrow.blacklist") == 0


async def test_a_file_that_is_no_text_imports_nothing(shell: Shell, owner: asyncpg.Connection, file: Path) -> None:
    write(file, LIST, "utf-16")
    told = await shell("blacklist", "import", str(file), "--source", "community", "--reason", "x")
    assert (told.returncode, "no text in UTF-8" in told.stderr) == (1, True)
    assert await owner.fetchval("SELECT count(*) FROM escrow.blacklist") == 0


async def test_an_import_bans_who_is_here_as_the_route_does(database: TestDatabase, shell: Shell, file: Path) -> None:
    async with opened_market(database) as market:
        seller, other = await market.member(), await market.member()
        await seller.lists()
        many = [Account.create().address for _ in range(20)]
        write(file, "\n".join([*many, seller.wallet.lower(), *(f"0x{n:040x}" for n in range(1, 2_500))]))
        told = await shell("blacklist", "import", str(file), "--source", "community", "--reason", "x")
        assert (told.returncode, "2520 added" in told.stdout) == (0, True)
        assert (await seller.get("orders")).status == 401
        assert (await other.get("products")).body["items"] == []
        assert (await seller.sign_in()).status == 403


async def test_wallets_are_added_shown_and_removed(shell: Shell, owner: asyncpg.Connection) -> None:
    added = ("blacklist", "add", ONE_WALLET.lower(), "--reason", "fraud")
    assert (await shell(*added)).returncode == 0
    again = await shell(*added)
    assert (again.returncode, f"{ONE_WALLET} is on the blacklist already" in again.stderr) == (1, True)
    assert (await shell("blacklist", "add", OTHER_WALLET, "--reason", "x", "--source", "community")).returncode == 0
    shown = json.loads((await shell("blacklist", "list", "--json")).stdout)
    assert [(each["wallet"], each["source"]) for each in shown] == [
        (OTHER_WALLET, "community"),
        (ONE_WALLET, "manual"),
    ]
    only = (await shell("blacklist", "list", "--source", "manual")).stdout.splitlines()
    assert [line.split("\t")[0] for line in only] == ["wallet", ONE_WALLET]
    assert (await shell("blacklist", "remove", ONE_WALLET)).returncode == 0
    gone = await shell("blacklist", "remove", ONE_WALLET)
    assert (gone.returncode, f"{ONE_WALLET} is not on the blacklist" in gone.stderr) == (1, True)
    assert await owner.fetchval("SELECT count(*) FROM escrow.blacklist") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("add", "0x12", "--reason", "x"),
        ("add", ONE_WALLET, "--reason", "x" * 201),
        ("add", ONE_WALLET),
        ("add", ONE_WALLET, "--reason", "x", "--source", "rumour"),
        ("remove", "0x12"),
        ("import", "/no/such/file", "--source", "tornado", "--reason", "x"),
    ],
)
async def test_bad_usage_is_status_2_and_writes_nothing(
    shell: Shell, owner: asyncpg.Connection, arguments: tuple[str, ...]
) -> None:
    assert (await shell("blacklist", *arguments)).returncode == 2
    assert await owner.fetchval("SELECT count(*) FROM escrow.blacklist") == 0


async def test_a_profile_that_the_mirror_makes_knows_that_its_wallet_is_banned(
    shell: Shell, doors: Database, exchange: Bazaar, owner: asyncpg.Connection
) -> None:
    seller, buyer = exchange.parties[0].address, exchange.parties[1].address
    assert (await shell("blacklist", "add", buyer, "--reason", "x")).returncode == 0
    await exchange.act(buyer, "createOrder", seller, exchange.token(), ONE, GOOD, bytes(32))
    async with indexing(doors, exchange) as indexer:
        await indexer.catch_up()
    found = await owner.fetch("SELECT wallet FROM escrow.user_profiles WHERE is_blacklisted")
    assert [row[0] for row in found] == [buyer]
    assert await owner.fetchval("SELECT count(*) FROM escrow.user_profiles") == 2


async def test_an_audit_that_finds_nothing_is_status_0(shell: Shell, doors: Database, exchange: Bazaar) -> None:
    await traded(doors, exchange)
    await mirror_pool(doors, exchange)
    reached = await exchange.node.rpc.head()
    told = await shell("audit", chains=(exchange.settings,))
    assert told.returncode == 0, told.stderr
    assert f"ethereum: nothing differs in 3 orders, 0 arbitrators, 3 credits at block {reached}" in told.stdout
    told = await shell("audit", "--all", "--json", chains=(exchange.settings,))
    assert told.returncode == 0
    assert json.loads(told.stdout) == [
        {
            "chain": "ethereum",
            "contract": exchange.escrow,
            "block": reached,
            "orders": 5,
            "arbitrators": 0,
            "credits": 3,
            "differences": [],
            "fault": "",
            "is_well": True,
        }
    ]


async def test_an_audit_that_finds_a_difference_names_it_and_is_status_1(
    shell: Shell, doors: Database, exchange: Bazaar, owner: asyncpg.Connection
) -> None:
    await traded(doors, exchange)
    await mirror_pool(doors, exchange)
    await owner.execute("UPDATE escrow.orders SET status = 'expired' WHERE onchain_order_id = 4")
    assert (await shell("audit", chains=(exchange.settings,))).returncode == 0
    told = await shell("audit", "--all", chains=(exchange.settings,))
    assert told.returncode == 1
    assert "ethereum: 1 difference in 5 orders" in told.stdout
    assert "4\tstatus\texpired\tcompleted" in told.stdout.splitlines()
    told = await shell("audit", "--all", "--json", chains=(exchange.settings,))
    assert told.returncode == 1
    assert json.loads(told.stdout)[0]["differences"] == [
        {"order": 4, "field": "status", "database": "expired", "contract": "completed", "wallet": None}
    ]


async def test_an_audit_of_a_chain_that_does_not_answer_is_status_1_and_shows_the_others(
    shell: Shell, doors: Database, exchange: Bazaar, owner: asyncpg.Connection
) -> None:
    await traded(doors, exchange)
    await mirror_pool(doors, exchange)
    cursor = "contract, last_block, last_hash, last_block_at"
    await owner.execute("INSERT INTO core.contracts SELECT 'bsc', name, address, decimals, block FROM core.contracts")
    await owner.execute(
        f"INSERT INTO escrow.event_sync_cursor (chain, {cursor}) SELECT 'bsc', {cursor} FROM escrow.event_sync_cursor"
    )
    told = await shell("audit", chains=(DEAD, exchange.settings))
    assert told.returncode == 1
    assert "bsc: could not be compared" in told.stdout
    assert "ethereum: nothing differs in 3 orders" in told.stdout


async def test_without_a_chain_there_is_nothing_to_audit(shell: Shell) -> None:
    told = await shell("audit")
    assert (told.returncode, "no chain is configured" in told.stdout) == (0, True)


@pytest.mark.parametrize("command", ["audit", *(f"blacklist {each}" for each in ("list", "add", "remove", "import"))])
async def test_every_command_documents_its_exit_status(shell: Shell, command: str) -> None:
    assert "Exit status" in " ".join((await shell(*command.split(), "--help")).stdout.split())
