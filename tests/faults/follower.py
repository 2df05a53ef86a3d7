"""A process that mirrors both contracts until it is killed; run by the fault tests, as the worker's services run."""

import asyncio
import sys

from entrepot.apps.escrow.tasks import follow, follow_pool
from entrepot.kernel import settings as configuration
from entrepot.main import House


async def main() -> None:
    """Follows the chain that is named on the command line."""
    async with House(configuration.load()) as house:
        print("following", flush=True)
        await asyncio.gather(*(run(house.database, house.chains, sys.argv[1]) for run in (follow, follow_pool)))


if __name__ == "__main__":
    asyncio.run(main())
