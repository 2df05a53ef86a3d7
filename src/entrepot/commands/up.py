"""`entrepot up`: everything on this machine, until Ctrl-C."""

from entrepot import console
from entrepot.commands import here
from entrepot.commands.market import Market, open_market
from entrepot.console import Failed
from entrepot.dev.process import Ended
from entrepot.kernel import settings as configuration
from entrepot.kernel.settings import Settings


def up(*, local_chain: bool) -> None:
    """Does `entrepot up`."""
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
