"""What arbitrators do at the fair: join the pool, stake more and leave it, are drawn, and rule or do not."""

from collections.abc import Iterable

from entrepot.apps.escrow.calls.disputes import AskDispute, Rule
from entrepot.apps.escrow.calls.orders import PreparedAct
from entrepot.kernel.chain.rpc import Log
from entrepot.kernel.wallet import checksum
from tests.bazaar import ESCROW, POOL, TOKEN
from tests.faults.ledger import LEGAL, Trade
from tests.faults.powers import Powers

PATHS = {"openDispute": "", "drawArbitrator": "/draw", "resolveDispute": "/ruling"}
TOPICS = {topic: name for name, topic in ESCROW.topics.items()}


class Courts(Powers):
    """They act on the same fair."""

    async def join(self, by: str, tokens: int) -> str:
        """With a stake, which the pool is allowed to take first."""
        return await self._stake("register", by, tokens)

    async def stake_more(self, by: str, tokens: int) -> str:
        """By somebody who is in the pool, or not."""
        return await self._stake("increaseStake", by, tokens)

    async def _stake(self, function: str, by: str, tokens: int) -> str:
        wallet, units = self.fair.wallets[by], tokens * self.ledger.seats.unit
        for allowed in (0, units):  # USDT takes no new allowance in place of another
            approval = TOKEN.encode_call("approve", self.market.pool, allowed)
            self.happened((await self.fair.send(wallet, self.market.token("USDT"), approval)).block_number)
        again = self._stake, (function, by, tokens)
        receipt, _ = await self.sent(wallet, POOL.encode_call(function, units), again, self.market.pool)
        seats = self.ledger.seats
        legal = seats.register(wallet, tokens) if function == "register" else seats.increase(wallet, tokens)
        return self.judged(receipt, f"{function} of {tokens} by {by}", legal=legal)

    async def leave(self, by: str) -> str:
        """Takes the stake out."""
        wallet = self.fair.wallets[by]
        receipt, _ = await self.sent(wallet, POOL.encode_call("withdraw"), (self.leave, (by,)), self.market.pool)
        return self.judged(receipt, f"{by} leaving the pool", legal=self.ledger.seats.leave(wallet))

    async def draw(self, number: int, by: str, blocks: int) -> str:
        """Some blocks after the one that decides, or at once."""
        trade = self.ledger.trades[number]
        height, _ = await self.head()
        if blocks and trade.status == "disputed" and trade.arbitrator is None and trade.draw_block + blocks > height:
            mined = await self.market.node.mine(trade.draw_block + blocks - height)
            self.happened(mined.number)
        return await self._draw(number, by)

    async def _draw(self, number: int, by: str) -> str:
        wallet = self.fair.wallets[by]
        data = ESCROW.encode_call("drawArbitrator", number)
        receipt, now = await self.sent(wallet, data, (self._draw, (number, by)))
        legal = self.ledger.may_draw(number, now, receipt.block_number)
        told = ""
        if legal and receipt.succeeded:
            drawn = drawn_in(receipt.logs)
            told = f": {drawn or 'nobody'}"
            assert self.ledger.draw(number, drawn, now, receipt.block_number), f"{drawn} may not rule on order {number}"
        return self.judged(receipt, f"a draw for order {number} by {by}", legal=legal) + told

    async def through_court(self, function: str, number: int, by: str, *, for_buyer: bool) -> str:
        """What the market prepares: it knows the contract's deadlines, and who is in conflict with a party."""
        trade, client = self.ledger.trades[number], self.fair.clients[by]
        order, (block, now) = await self.id_of(trade), await self.head()
        wanted = self._court(function, trade, client.wallet, now, block)
        if function == "resolveDispute":
            ask: AskDispute | Rule = Rule(by=client.wallet, order_id=order, favor_buyer=for_buyer)
        else:
            ask = AskDispute(by=client.wallet, order_id=order)
        path = "/escrow/disputes/{order_id}" + PATHS[function]
        prepared = await self.asked(function, wanted, lambda: client.transport.command("POST", path, ask, PreparedAct))
        if prepared is None:
            return f"refused with {wanted}"
        more = (for_buyer,) if function == "resolveDispute" else ()
        assert prepared.transaction.data == "0x" + ESCROW.encode_call(function, number, *more).hex()
        acts = self._draw(number, by) if function == "drawArbitrator" else self.act(function, number, by, more)
        return f"prepared, {await acts}"

    def _court(self, function: str, trade: Trade, wallet: str, now: int, block: int) -> int:
        if function == "drawArbitrator":
            is_legal = self.ledger.may_draw(trade.number, now, block + 1)
        else:
            is_legal = LEGAL[function](trade, wallet, now)
        if function == "resolveDispute":
            if wallet != trade.arbitrator:
                return 404
            is_legal = is_legal and not self.ledger.is_in_conflict(wallet, trade, now)
        elif wallet not in trade.parties:
            return 404
        return 200 if is_legal else 409

    async def rule(self, number: int, by: str, *, for_buyer: bool) -> str:
        """By the arbitrator who was drawn, or by somebody else."""
        return await self.act("resolveDispute", number, by, (for_buyer,))


def drawn_in(logs: Iterable[Log]) -> str | None:
    """On whom the draw fell."""
    for log in logs:
        if TOPICS.get(log.topics[0]) == "ArbitratorDrawn":
            return checksum("0x" + log.topics[2][-40:])
    return None
