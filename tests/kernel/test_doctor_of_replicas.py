"""What the doctor says of a replica: that it follows, or what is wrong with it."""

from collections.abc import Iterator

import pytest

from entrepot.commands.doctor import collect, replicas
from entrepot.dev import postgres
from entrepot.dev.standby import Standby
from tests.conftest import ROLE, TestDatabase, settings_for
from tests.kernel.followed import followed, primary


@pytest.fixture(scope="module")
def cluster() -> Iterator[postgres.Server]:
    with primary() as server:
        yield server


@pytest.fixture(scope="module")
def standby(cluster: postgres.Server) -> Iterator[Standby]:
    with followed(cluster) as made:
        yield made


async def test_the_doctor_tells_a_replica_from_what_is_none(standby: Standby, database: TestDatabase) -> None:
    # Its own database may not have come there yet.
    addresses = (standby.address(ROLE, "postgres"), database.url, "postgresql://nobody@127.0.0.1:9/nothing")
    found = await collect(replicas(settings_for(database, database_read_replica_url=",".join(addresses))))
    assert [each.state for each in found] == ["good", "bad", "bad"]
    assert "is no replica" in found[1].found
    assert "does not answer" in found[2].found
    assert all(each.mend for each in found[1:])
