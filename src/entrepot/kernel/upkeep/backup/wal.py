"""The archive of the WAL: pg_receivewal streams it to a spool here, and from there it goes to the place of the backups.

A physical slot that no one streams from, the guard, holds back on the server whatever the place has not got: it is
moved when a segment is there, not when it is here, so that this machine may be lost at any moment and another go on.
The stream has a slot of its own, a copy of the guard, only because that tells pg_receivewal where to begin.
"""

import asyncio
import logging
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Lock
from typing import IO

import asyncpg

from entrepot.kernel import clock
from entrepot.kernel.settings import Settings
from entrepot.kernel.upkeep.backup import server
from entrepot.kernel.upkeep.backup.model import BackupFailed, Cluster, Lsn, Position, segment_name, segment_number
from entrepot.kernel.upkeep.backup.place import PARTIAL, Place, place_of
from entrepot.kernel.upkeep.backup.programs import environment, find, last_words, leashed

LOG = logging.getLogger("entrepot.backup")
GUARD, STREAM = "entrepot_wal", "entrepot_wal_stream"
PAUSE = 1.0  # seconds between two shipments
PATIENCE = 10.0  # seconds in which pg_receivewal must have ended when it is asked to
QUIET = 60.0  # seconds between two notes that nothing was written
EPOCH = clock.from_unix(0)
WHOLE = 24  # letters of a segment's name
IS_LOST = "SELECT wal_status = 'lost' OR restart_lsn IS NULL FROM pg_replication_slots WHERE slot_name = $1"
END_STREAM = """
    SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots
    WHERE slot_name = $1 AND active_pid IS NOT NULL
"""
DROP = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1"
MAKE_GUARD = """
    SELECT pg_create_physical_replication_slot($1, true)
    WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1)
"""
COPY = "SELECT pg_copy_physical_replication_slot($1, $2)"
MOVE_GUARD = """
    SELECT pg_replication_slot_advance(slot_name, least($2::text::pg_lsn, pg_current_wal_flush_lsn()))
    FROM pg_replication_slots WHERE slot_name = $1 AND restart_lsn < $2::text::pg_lsn
"""
STANDS = """
    SELECT clock_timestamp(), pg_current_wal_flush_lsn()::text,
        (SELECT write_lsn::text FROM pg_stat_replication WHERE application_name = $1)
"""


def over(settings: Settings) -> tuple[str, ...]:
    """Once, where backups have a place of their own."""
    return ("archive",) if settings.backup_url else ()


async def archive(settings: Settings) -> None:
    """Archives the WAL until it is cancelled. Raises `BackupFailed` when it cannot go on."""
    url = server.address(settings)
    async with server.connected(url) as connection:
        await server.require(connection)
        cluster = await server.cluster(connection)
        spool = settings.home / "wal" / cluster.system
        keeper = Keeper(place_of(settings, cluster.system), spool, cluster)
        await asyncio.to_thread(keeper.prepare)
        await _reserve(connection)
        with TemporaryFile() as told:
            receiver = await _receive(settings, cluster, spool, told)
            try:
                while receiver.returncode is None:
                    await _ship(connection, keeper)
                    with suppress(TimeoutError):
                        await asyncio.wait_for(receiver.wait(), PAUSE)
                words = last_words(told)
            finally:
                await _end(receiver)
                await asyncio.to_thread(keeper.ship)
    raise BackupFailed(f"pg_receivewal: {words}")


async def _reserve(connection: asyncpg.Connection) -> None:
    """Makes the guard, where there is none, and the stream's slot where the guard stands.

    Who streams still is nobody's who has the lease.
    """
    for statement in (END_STREAM, DROP):
        await connection.execute(statement, STREAM)
    if await connection.fetchval(IS_LOST, GUARD):
        LOG.error("WAL was lost before it was archived: make a full backup now (entrepot backup create)")
        await connection.execute(DROP, GUARD)
    await connection.execute(MAKE_GUARD, GUARD)
    await connection.execute(COPY, GUARD, STREAM)


async def _receive(settings: Settings, cluster: Cluster, spool: Path, told: IO[bytes]) -> asyncio.subprocess.Process:
    """pg_receivewal, begun where the guard stands."""
    program = leashed(find(cluster.major, settings.postgres_programs) / "pg_receivewal")
    env = {**environment(server.address(settings)), "PGAPPNAME": GUARD}
    arguments = ("-D", str(spool), "-S", STREAM, "--no-loop", "-s", "1", "-w")
    return await asyncio.create_subprocess_exec(*program, *arguments, env=env, stdout=told, stderr=told)


async def _end(receiver: asyncio.subprocess.Process) -> None:
    """Ends it, and waits until it has written what it has."""
    if receiver.returncode is None:
        receiver.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(receiver.wait()), PATIENCE)
        except (TimeoutError, asyncio.CancelledError):
            receiver.kill()


async def _ship(connection: asyncpg.Connection, keeper: "Keeper") -> None:
    """Everything that is in the spool by now."""
    at, flushed, received = await connection.fetchrow(STANDS, GUARD)  # type: ignore[misc]
    whole = await asyncio.to_thread(keeper.ship, None if received is None else Lsn.parse(received))
    if whole is not None:
        await connection.execute(MOVE_GUARD, GUARD, str(whole))
    if received is not None:
        await asyncio.to_thread(keeper.reach, Position(flushed, at), received)


class Keeper:
    """Takes WAL from the spool to the place. Its calls wait for the store."""

    def __init__(self, place: Place, spool: Path, cluster: Cluster) -> None:
        self.place, self.spool, self.size = place, spool, cluster.segment_size
        # Not the histories: a worker that has keys by now keeps the newest anew, so that it is sealed.
        there = place.segments()
        self._archived = {name for name in there if len(name) == WHOLE}
        self._others = {name for name in there if name.endswith(PARTIAL)}
        self._came_to = _came_to(place)
        self._partial = (0, 0.0)
        self._alone = Lock()
        self._reached = Position("0/0", EPOCH)
        self._waiting: Position | None = None

    def prepare(self) -> None:
        """Archives what another life left in the spool, and empties it: what it held of more, the server has still."""
        self.spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.ship()
        for each in self.spool.iterdir():
            each.unlink()

    def _here(self) -> list[str]:
        """Whole segments in the spool, oldest first."""
        return sorted(each.name for each in self.spool.iterdir() if len(each.name) == WHOLE)

    def ship(self, received: Lsn | None = None) -> Lsn | None:
        """Archives what is new; answers where the whole segments end, if there are any.

        `received` is how far the stream had come a moment ago, where that is known.
        """
        with self._alone:  # whoever was cancelled may still be at it
            return self._ship(received)

    def _ship(self, received: Lsn | None) -> Lsn | None:
        for history in self.spool.glob("*.history"):
            self._keep(history)
        here = self._here()
        for name in here:
            self._keep(self.spool / name)
        for partial in self.spool.glob(f"*{PARTIAL}"):
            if self._is_newer(partial.name, received):
                self._keep_partial(partial)
        for name in here[:-1]:
            (self.spool / name).unlink()
        return Lsn((segment_number(here[-1], self.size) + 1) * self.size) if here else None

    def _keep(self, file: Path) -> None:
        if file.name not in self._archived:
            self.place.keep(f"wal/{file.name}.gz", file.read_bytes())
            self.place.remove(f"wal/{file.name}{PARTIAL}.gz")
            self._archived.add(file.name)

    def _is_newer(self, name: str, received: Lsn | None) -> bool:
        """Whether it has what another life archived of that segment: the stream begins where a segment does."""
        if name in self._others and (received is None or received < self._came_to):
            return False
        self._others.discard(name)
        return True

    def _keep_partial(self, file: Path) -> None:
        """The segment that is being written, as far as it is: what the archive lacks is seconds, not 16 MB."""
        with suppress(FileNotFoundError):  # it has become whole meanwhile
            stands = (file.stat().st_ino, file.stat().st_mtime)
            if stands != self._partial:
                self.place.keep(f"wal/{file.name}.gz", file.read_bytes())
                self._partial = stands

    def reach(self, server: Position, received: str) -> None:
        """Notes how far the archive reaches: to what was received, and to the moment at which the server was there."""
        self._waiting = self._waiting or server
        if Lsn.parse(received) < Lsn.parse(self._waiting.lsn):
            return
        reached, self._waiting = Position(received, self._waiting.at), None
        if received != self._reached.lsn or (reached.at - self._reached.at).total_seconds() > QUIET:
            self.place.reach(reached)
            self._reached = reached


def _came_to(place: Place) -> Lsn:
    """How far the archive came before. Where that cannot be read, such as without its key, nothing is waited for."""
    try:
        position = place.position()
    except BackupFailed as failed:
        LOG.warning("how far the archive of the WAL came is not known: %s", failed)
        return Lsn(0)
    return Lsn.parse(position.lsn) if position else Lsn(0)


def missing(names: list[str], after: int, size: int) -> str | None:
    """The first segment behind the one numbered `after` that is not there, though later ones are; or None.

    One that was never finished is there only where it is the last: of the others everything is needed.
    """
    whole = {segment_number(name, size) for name in names if len(name) == WHOLE}
    last = max((segment_number(name, size) for name in names if not name.endswith(".history")), default=after)
    for number in range(after + 1, last + 1):
        if number not in whole and number != last:
            return segment_name(1, number, size)[8:]
    return None
