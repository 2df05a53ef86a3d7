"""`entrepot demo`: a market on this machine, filled, and a whole trade in it."""

import asyncio
import os
from time import monotonic

import msgspec

from entrepot import console
from entrepot.commands import here
from entrepot.commands.market import LOCAL, Market, open_market
from entrepot.commands.up import show
from entrepot.console import Failed
from entrepot.dev.arbitrators import staff
from entrepot.dev.market import fill
from entrepot.dev.process import Ended
from entrepot.dev.trade import Trade
from entrepot.kernel import settings as configuration
from entrepot.kernel.settings import Settings

PLENTY = 1_000_000  # calls a minute: one machine plays fifty sellers


def demo(*, once: bool) -> None:
    """Does `entrepot demo`."""
    here.run(here.until_stopped(perform(demo_settings(), once=once)))
    console.mark("good", "stopped")


def demo_settings() -> Settings:
    """The environment's settings, on a free port, with room for everybody at once."""
    given = configuration.load(
        {name: value for name, value in os.environ.items() if not name.startswith("DATABASE_")},
        chains=(),
        workers=1,
        reads_per_minute=PLENTY,
        writes_per_minute=PLENTY,
        sign_ins_per_minute=PLENTY,
        messages_per_minute=PLENTY,
    )
    port = given.port if here.is_free(given.host, given.port) else here.free_port(given.host)
    return msgspec.structs.replace(given, port=port, public_url=f"http://localhost:{port}")


async def perform(settings: Settings, *, once: bool) -> None:
    """The whole demonstration; goes on until cancelled, unless it is to be done once."""
    began = monotonic()
    try:
        async with open_market(settings, local_chain=True) as market:
            ending = asyncio.ensure_future(market.until_one_ends())
            acting = asyncio.ensure_future(act(market))
            try:
                await asyncio.wait((ending, acting), return_when=asyncio.FIRST_COMPLETED)
                if ending.done():
                    ending.result()
                await acting
                console.line(f"Every step was as expected, after {monotonic() - began:.1f} s.")
                if not once:
                    show(market)
                    await ending
            finally:
                for each in (ending, acting):
                    each.cancel()
    except Ended as ended:
        raise Failed(str(ended)) from None


async def act(market: Market) -> None:
    """Fills the market, and trades."""
    chain = market.settings.chain(LOCAL)
    domain = market.settings.domain
    products, sellers = await fill(market.url, domain)
    console.mark("good", f"the market has {products} products of {sellers} sellers")
    await staff(market.settings, LOCAL)
    console.line()
    console.line("[name]A trade, from listing to payout[/]")
    await Trade(market.url, domain, chain, market.accounts[1].address).run()
    console.line()
