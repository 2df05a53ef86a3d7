"""The words of the commands that run something: up, serve, worker, demo."""

from typing import Annotated

import typer

from entrepot.kernel.command import done_by


@done_by("entrepot.commands.up:up")
def up(
    *,
    local_chain: Annotated[
        bool, typer.Option(help="Run a chain here, with the contracts on it, when ENTREPOT_CHAINS is not set.")
    ] = True,
) -> None:
    """Run everything on this machine: database, chain, worker and server, until Ctrl-C or SIGTERM.

    Uses DATABASE_URL and ENTREPOT_CHAINS where they are set; otherwise an embedded PostgreSQL and a local chain, whose
    state stays under ENTREPOT_HOME. Exit status: 0 stopped as asked, 1 something did not start or ended by itself, 2 a
    setting cannot be used.
    """


@done_by("entrepot.commands.serve:serve")
def serve() -> None:
    """Serve HTTP until Ctrl-C or SIGTERM, with ENTREPOT_WORKERS processes.

    Without DATABASE_URL the embedded PostgreSQL is started, and stopped with its last user. Exit status: 0 stopped as
    asked, 1 the database is behind this release, the port is taken or the server failed, 2 a setting cannot be used.
    """


@done_by("entrepot.commands.worker:worker")
def worker() -> None:
    """Run tasks and services until Ctrl-C or SIGTERM; start as many on as many machines as you like.

    Every tick of a task runs once, and every service on one worker at a time, however many there are. Exit status: 0
    stopped as asked, 1 the database is behind this release, 2 a setting cannot be used.
    """


@done_by("entrepot.commands.demo:demo")
def demo(*, once: Annotated[bool, typer.Option("--once", help="End after the trade.")] = False) -> None:
    """Show it all: a local chain with the contracts, 50 sellers with 500 products, and a trade from listing to payout.

    Everything goes through the public API and through transactions that are signed here; then it goes on serving. Uses
    its own database and chain under ENTREPOT_HOME, never DATABASE_URL or ENTREPOT_CHAINS. Exit status: 0 every step was
    as expected, 1 one was not, 2 a setting cannot be used.
    """
