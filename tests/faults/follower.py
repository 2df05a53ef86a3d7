"""A process that mirrors P2PEscrow until it is killed; run by the fault tests, as the worker's service runs."""

import asyncio
import sys

from entrepot.apps.escrow.tasks import follow
from entrepot.kernel import settings as configuration
from entrepot.main import House


async def main() -> None:
    """Follows the chain that is named on the command line."""
    async with House(configuration.load()) as house:
        print("following", flush=True)
        await follow(house.database, house.chains, sys.argv[1])


if __name__ == "__main__":
    asyncio.run(main())
