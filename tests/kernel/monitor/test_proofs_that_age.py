"""A backup whose proof has grown old is told, until a new one is proven: a real backup, really restored."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

from entrepot.dev import postgres
from entrepot.kernel import clock
from entrepot.kernel.upkeep.backup import work
from tests.conftest import ROLE, TestDatabase
from tests.kernel.monitor.watch import changed, watched
from tests.kernel.upkeep.cellar import APPS, Cellar, cellar_of, running


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    with running() as made:
        yield made


@pytest.fixture
def cellar(server: postgres.Server) -> Iterator[Cellar]:
    with cellar_of(server.get_uri(), postgres.address(server, ROLE, "postgres")) as made:
        yield made


async def test_a_backup_that_was_never_proven_and_a_proof_that_has_grown_old_are_told(
    server: postgres.Server, cellar: Cellar, monkeypatch: pytest.MonkeyPatch
) -> None:
    def later(days: float) -> None:
        """By the clock that says how old a proof is."""

        def now() -> datetime:
            return clock.now() + timedelta(days=days)

        monkeypatch.setattr(work, "clock", SimpleNamespace(now=now))

    settings = cellar.settings()
    place = {"backup_url": settings.backup_url, "home": settings.home}
    async with watched(TestDatabase(server, "postgres"), alerts=changed(), **place) as watch:
        database = watch.house.database
        async with cellar.archiving(settings):
            await watch.look()
            assert watch.told("backup") == ["fired"]  # none ever was
            await work.make(settings, database)
            await watch.look()
            assert watch.told("backup") == ["fired"]  # one that is made is not one that is proven
            await work.prove(settings, database, APPS)
            await watch.look()
            assert watch.told("backup") == ["fired", "resolved"]
            later(days=7.9)
            await watch.look()
            assert watch.told("backup") == ["fired", "resolved"]
            later(days=8.1)
            await watch.look()
            assert watch.told("backup") == ["fired", "resolved", "fired"]
            assert "is 8 days old, and may be 8" in watch.posts[-1]["data"]["told"]
            later(days=0)
            await work.prove(settings, database, APPS)
            await watch.look()
            assert watch.told("backup") == ["fired", "resolved", "fired", "resolved"]
