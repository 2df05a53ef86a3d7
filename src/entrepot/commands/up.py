"""`entrepot up`: everything on this machine, until Ctrl-C."""

from typing import Annotated

import typer

from entrepot import console
from entrepot.commands import here
from entrepot.commands.market import Market, open_market
from entrepot.console import Failed
from entrepot.dev.process import Ended
from entrepot.kernel import settings as configuration
from entrepot.kernel.settings import Settings


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
    here.run(here.until_stopped(stand(configuration.load(), local_chain=local_chain)))
    console.mark("good", "stopped")


async def stand(settings: Settings, *, local_chain: bool) -> None:
    """Until cancelled, or until a part ends by itself."""
    try:
        async with open_market(settings, local_chain=local_chain) as market:
            show(market)
            await market.until_one_ends()
    except Ended as ended:
        raise Failed(str(ended), "entrepot doctor") from None


def show(market: Market) -> None:
    """Where everything is."""
    rows = [
        ("API", f"[name]{market.url}/api/v1/docs[/]"),
        ("database", market.settings.database_url),
        *((f"chain {one.name}", f"id {one.chain_id}, {one.endpoints[0]}") for one in market.settings.chains),
        ("logs", f"{market.settings.home / 'logs'}"),
    ]
    console.line()
    console.panel("Entrepôt is up", rows)
    console.line("Ctrl-C stops it.")
