"""What the doctor says of a replica: that it follows, or what is wrong with it."""

import socket

from entrepot.commands.doctor import collect, replicas
from entrepot.dev.standby import Standby
from tests.conftest import ROLE, TestDatabase, settings_for
from tests.kernel.followed import cluster, standby
from tests.pooler import pooled

__all__ = ["cluster", "standby"]


async def test_the_doctor_tells_a_replica_from_what_is_none(standby: Standby, database: TestDatabase) -> None:
    # Its own database may not have come there yet.
    addresses = (standby.address(ROLE, "postgres"), database.url, "postgresql://nobody@127.0.0.1:9/nothing")
    found = await collect(replicas(settings_for(database, database_read_replica_url=",".join(addresses))))
    assert [each.state for each in found] == ["good", "bad", "bad"]
    assert "is no replica" in found[1].found
    assert "does not answer" in found[2].found
    assert all(each.mend for each in found[1:])


async def test_the_doctor_knows_a_pooler_before_a_replica(database: TestDatabase) -> None:
    with pooled(database) as behind:
        (found,) = await collect(replicas(settings_for(database, database_read_replica_url=behind.url)))
    assert "is behind a pooler, and must be addressed directly" in found.found


async def test_the_doctor_says_that_a_server_which_takes_connections_and_is_silent_took_too_long(
    database: TestDatabase,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/nothing?sslmode=disable"
        (found,) = await collect(replicas(settings_for(database, database_read_replica_url=address)))
    assert "does not answer: TimeoutError" in found.found
