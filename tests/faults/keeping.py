"""What the keeper does at the fair: ends what is overdue and has arbitrators drawn, be it killed or not."""

from entrepot.kernel.chain.rpc import Log
from tests.faults.courts import TOPICS, Courts, drawn_in
from tests.faults.ledger import LEGAL, Trade

ENDINGS = {
    "OrderExpired": "autoExpireOrder",
    "OrderCompleted": "autoReleaseToSeller",
    "DisputeResolved": "autoResolveDispute",
}
DRAWS = ("ArbitratorDrawn", "DrawPostponed")
ROUNDS = 5  # of the keeper, who after a reorganisation first sends again what it sent before


class Keeping(Courts):
    """It acts on the same fair."""

    async def keep(self, killed_after: float | None) -> str:
        """The keeper does what is due; killed in the middle, it does the rest the next time."""
        await self.fair.caught_up()
        block, now = await self.head()
        due, moved = self._due(now, block), set[int]()
        for _ in range(ROUNDS):
            await self.fair.run_keeper(killed_after)
            moved |= await self._absorb(block + 1)
            block, _ = await self.head()
            if killed_after is not None or due <= moved:
                break
            await self.fair.caught_up()
        assert killed_after is not None or due <= moved, f"the keeper left {due - moved} as they were"
        return f"of {due or 'nothing'} it moved {moved or 'nothing'}"

    def _due(self, now: int, block: int) -> set[int]:
        """The orders that the keeper has to move, by the chain's time and height."""
        return {
            number
            for number, trade in self.ledger.trades.items()
            if self._due_draw(trade, now, block)
            or any(LEGAL[function](trade, "", now) for function in ENDINGS.values())
        }

    def _due_draw(self, trade: Trade, now: int, block: int) -> bool:
        """A draw that can fall on nobody is not paid for."""
        may = self.ledger.seats.may_draw({*trade.parties, *trade.missed})
        return self.ledger.may_draw(trade.number, now, block) and (trade.arbitrator is not None or bool(may))

    async def _absorb(self, first: int) -> set[int]:
        """What the keeper's transactions did, block by block, each held against the rules."""
        if (await self.head())[0] < first:
            return set()
        wanted = {"address": self.market.escrow, "fromBlock": hex(first), "toBlock": "latest"}
        logs = await self.market.node.rpc.logs(wanted)
        for log in logs:
            await self._absorbed(log, TOPICS[log.topics[0]], int(log.topics[1], 16))
            self.happened(log.block_number)
        return {int(log.topics[1], 16) for log in logs}

    async def _absorbed(self, log: Log, name: str, number: int) -> None:
        now, block = (await self.market.node.rpc.block(log.block_number)).timestamp, log.block_number
        if name in DRAWS:
            may = self.ledger.may_draw(number, now, block) and self.ledger.draw(number, drawn_in([log]), now, block)
        else:
            may = self.ledger.act(ENDINGS[name], number, "", now, block)
        assert may, f"the keeper's {name} of order {number} is illegal"
