"""Backups of a server that is one of several hosts: whoever leads is backed up, also after another took over."""

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from entrepot.dev.standby import Standby, following
from entrepot.kernel.upkeep.backup import work
from entrepot.kernel.upkeep.backup.create import create
from entrepot.kernel.upkeep.backup.model import Kind
from entrepot.kernel.upkeep.backup.place import place_of
from entrepot.kernel.upkeep.backup.programs import environment
from entrepot.kernel.upkeep.backup.verify import verify
from tests.conftest import free_port
from tests.kernel.upkeep.cellar import APPS, KEYS, Cellar, cellar, server

__all__ = ["cellar", "server"]


def leading(*hosts: str | Path) -> str:
    """The owner's address of whichever of these hosts takes writes."""
    named = ",".join(quote(str(host), safe=":") for host in hosts)
    return f"postgresql://postgres@{named}/postgres?target_session_attrs=read-write"


@pytest.mark.parametrize(
    ("address", "told"),
    [
        (
            "postgresql://me:p%40ss@a,b:5433,[::1]:5434/market?target_session_attrs=read-write",
            {"HOST": "a,b,::1", "PORT": ",5433,5434", "USER": "me", "PASSWORD": "p@ss", "DATABASE": "market",
             "TARGETSESSIONATTRS": "read-write"},
        ),
        ("postgresql://me@%2Frun%2Fpg,other/market", {"HOST": "/run/pg,other", "USER": "me", "DATABASE": "market"}),
        ("postgresql:///market?host=/run/pg&port=1,2", {"HOST": "/run/pg", "PORT": "1,2", "DATABASE": "market"}),
        ("postgres://h/?sslmode=require&user=me", {"HOST": "h", "SSLMODE": "require", "USER": "me"}),
    ],
)  # fmt: skip
def test_an_address_is_told_to_postgresqls_programs_as_it_is_written(
    monkeypatch: pytest.MonkeyPatch, address: str, told: dict[str, str]
) -> None:
    monkeypatch.setenv("PGHOSTADDR", "192.0.2.1")  # which asyncpg does not know
    monkeypatch.setenv("PGPASSFILE", "/its/passwords")  # which it does
    given = {name: value for name, value in environment(address).items() if name.startswith("PG")}
    assert given.pop("PGCONNECT_TIMEOUT")
    assert given == {f"PG{name}": value for name, value in told.items()} | {"PGPASSFILE": "/its/passwords"}


def of_hosts(cellar: Cellar, url: str) -> Cellar:
    """The same place, for who knows the server by that address."""
    return Cellar(url, url, cellar.folder)


async def test_a_host_that_is_dead_is_passed_over(cellar: Cellar) -> None:
    living = Path(cellar.owner_url.partition("host=")[2])
    several = of_hosts(cellar, leading(f"127.0.0.1:{free_port()}", living))
    async with several.archiving():
        assert (await create(several.settings())).kind is Kind.FULL
        assert (await create(several.settings(), incremental=True)).kind is Kind.INCREMENTAL
        await several.commit("by the second host")
        assert (await verify(several.settings(), APPS, patience=20)).findings == ()


async def test_backups_and_the_archive_go_on_after_a_failover(cellar: Cellar) -> None:
    """One backup before it is enough to come to any moment before and after."""
    with following(cellar.owner_url) as first:
        await asyncio.to_thread(first.promote)
        with following(first.address("postgres", "postgres")) as second:
            await go_over(cellar, first, second)


async def go_over(cellar: Cellar, first: Standby, second: Standby) -> None:
    both = of_hosts(cellar, leading(second.folder, first.folder))
    settings = both.settings(backup_keys=KEYS)
    async with both.archiving():
        pass  # without keys: it keeps the history of the first failover, which is sealed as soon as there are keys
    async with both.archiving(settings):
        before = await create(settings)
        assert work.sound(place_of(settings, before.cluster.system)) == [before]
        was = await both.commit("by the first")
        await both.archived()
    await asyncio.to_thread(first.kill)
    await asyncio.to_thread(second.promote)
    async with both.archiving(settings):
        await both.commit("by the second")
        after = await create(settings, incremental=True)
        await both.commit("since the increment")
        assert (await verify(settings, APPS, patience=20)).findings == ()
    assert (after.parent, after.timeline) == (before.id, before.timeline + 1)
    assert (await both.restored(was.isoformat(), backup_keys=KEYS))[-1] == "by the first"
