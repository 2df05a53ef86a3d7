"""The servers that are compared by HTTP: how each is started, and what the two reads look like to it."""

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import quote

from bench import server
from bench.processes import Command, ask

ROOT = Path(__file__).resolve().parent.parent
POSTGRAPHILE = ROOT / "bench" / "peers" / "postgraphile"
POOL = "16"
PRODUCTS = "/api/v1/escrow/products"
LOOKUP = " ".join(
    """query($id:UUID!){productByRowId(rowId:$id){rowId titlePreview descriptionPreview category priceUsdt stock
    totalSold productHash status createdAt updatedAt userProfileBySellerWallet{wallet displayName publicKey
    reputationScore totalTrades rating tier createdAt}}}""".split()
)
PAGE = " ".join(
    """query($after:Cursor){allProducts(first:20,after:$after,condition:{status:active},
    orderBy:[CREATED_AT_DESC,ROW_ID_DESC]){pageInfo{endCursor}nodes{rowId titlePreview descriptionPreview category
    priceUsdt stock totalSold createdAt userProfileBySellerWallet{wallet displayName rating}}}}""".split()
)


@dataclass(frozen=True)
class Contender:
    """A server in the comparison; `graphql` says which dialect it speaks."""

    name: str
    title: str
    graphql: bool = False

    def command(self, dsn: str, port: int) -> Command:
        """How to start it on this port against this database."""
        return COMMANDS[self.name](dsn, port)

    @property
    def ready(self) -> str:
        """A request that is answered well once the server is up."""
        return graphql("{__typename}", {}) if self.graphql else f"GET {PRODUCTS}?limit=20"

    def lookups(self, ids: list[str]) -> list[str]:
        """Requests for products by id."""
        if not self.graphql:
            return [f"GET {PRODUCTS}/{product}" for product in ids]
        return [graphql(LOOKUP, {"id": product}) for product in ids]

    def pages(self, port: int, count: int) -> list[str]:
        """Requests for pages of 20, by following the server's own cursors from the newest on."""
        cursor: str | None = None
        lines = []
        for _ in range(count):
            if self.graphql:
                line = graphql(PAGE, {"after": cursor})
                cursor = json.loads(ask(port, line))["data"]["allProducts"]["pageInfo"]["endCursor"]
            else:
                line = f"GET {PRODUCTS}?limit=20" + (f"&cursor={quote(cursor, safe='')}" if cursor else "")
                cursor = json.loads(ask(port, line))["next_cursor"]
            lines.append(line)
            if cursor is None:
                break
        return lines


def graphql(query: str, variables: dict[str, str | None]) -> str:
    """One POST to GraphQL."""
    return "POST /graphql " + json.dumps({"query": query, "variables": variables}, separators=(",", ":"))


def own(dsn: str, port: int) -> Command:
    """Our own server, one worker, everything on but its cache: as with the peers, PostgreSQL answers every read.

    The limit of reads is set as high as it goes, not off.
    """
    environment = {
        "DATABASE_URL": dsn.replace("postgres@", "entrepot_server@"),
        "ENTREPOT_HOME": str(server.directory() / "home"),
        "ENTREPOT_PORT": str(port),
        "ENTREPOT_WORKERS": "1",
        "ENTREPOT_POOL_SIZE": POOL,
        "ENTREPOT_POOL_OVERFLOW": "0",
        "ENTREPOT_READS_PER_MINUTE": "1000000",
        "ENTREPOT_APPS": "escrow",
        "ENTREPOT_CACHE_BYTES": "0",
    }
    return Command("entrepot", [str(Path(sys.executable).with_name("entrepot")), "serve"], environment, ROOT)


def bare(dsn: str, port: int) -> Command:
    """Granian with one worker and uvloop around a bare function."""
    arguments = [
        sys.executable,
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--workers",
        "1",
        "--loop",
        "uvloop",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ws",
        "bench.peers.bare:app",
    ]
    return Command("bare", arguments, {"DATABASE_URL": dsn, "POOL_SIZE": POOL}, ROOT)


def fastapi_orm(dsn: str, port: int) -> Command:
    """Uvicorn with one worker, uvloop and httptools."""
    arguments = [
        sys.executable,
        "-m",
        "uvicorn",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--log-level",
        "warning",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "bench.peers.fastapi_orm:app",
    ]
    return Command("fastapi_orm", arguments, {"DATABASE_URL": dsn, "POOL_SIZE": POOL}, ROOT)


def postgraphile(dsn: str, port: int) -> Command:
    """Node with the production settings that PostGraphile asks for, under a role that may only read."""
    environment = {
        "DATABASE_URL": dsn.replace("postgres@", "bench_reader@"),
        "PORT": str(port),
        "POOL_SIZE": POOL,
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    return Command("postgraphile", ["node", "server.js"], environment, POSTGRAPHILE)


def installed(package: str) -> str:
    """The package's version, or nothing where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def install() -> None:
    """PostGraphile at its locked version, once."""
    if not (POSTGRAPHILE / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=POSTGRAPHILE, check=True, timeout=600)


COMMANDS = {"entrepot": own, "bare": bare, "fastapi_orm": fastapi_orm, "postgraphile": postgraphile}
CONTENDERS = (
    Contender("entrepot", "Entrepôt"),
    Contender("bare", f"(a) bare asyncpg {installed('asyncpg')} on granian {installed('granian')}"),
    Contender(
        "fastapi_orm",
        f"(b) FastAPI {installed('fastapi')}, SQLAlchemy {installed('sqlalchemy')} ORM, Pydantic "
        f"{installed('pydantic')} on uvicorn {installed('uvicorn')}",
    ),
    Contender("postgraphile", "(c) PostGraphile 5.1.5", graphql=True),
)
