"""What is beyond the parties: the contract's owner, the chain's clock and its reorganisations."""

from copy import deepcopy

from entrepot.client import Token
from tests.bazaar import ESCROW
from tests.faults.acts import Acts


class Powers(Acts):
    """They act on the same fair."""

    async def pause(self, by: str | None, *, pause: bool) -> str:
        """By the owner, or by somebody who is none."""
        wallet = self.ledger.owner if by is None else self.fair.wallets[by]
        data = ESCROW.encode_call("pause" if pause else "unpause")
        receipt, _ = await self.sent(wallet, data, (self._pause, (by, pause)))
        legal = by is None and self.ledger.paused != pause
        self.ledger.paused = pause if legal else self.ledger.paused
        return self.judged(receipt, "a pause", legal=legal)

    async def _pause(self, by: str | None, pause: bool) -> str:  # noqa: FBT001 - as it was noted
        return await self.pause(by, pause=pause)

    async def allow(self, by: str | None, token: Token, allowed: bool) -> str:  # noqa: FBT001
        """Allows a token for new orders, or does not."""
        wallet, address = self.ledger.owner if by is None else self.fair.wallets[by], self.market.token(token)
        data = ESCROW.encode_call("setSupportedToken", address, allowed)
        receipt, _ = await self.sent(wallet, data, (self.allow, (by, token, allowed)))
        if by is None:
            (self.ledger.refused.discard if allowed else self.ledger.refused.add)(address)
        return self.judged(receipt, "a change of tokens", legal=by is None)

    async def charge(self, by: str | None, bps: int) -> str:
        """Sets the fee of new orders."""
        wallet = self.ledger.owner if by is None else self.fair.wallets[by]
        receipt, _ = await self.sent(wallet, ESCROW.encode_call("setPlatformFee", bps), (self.charge, (by, bps)))
        legal = by is None and bps <= 1_000
        self.ledger.fee_bps = bps if legal else self.ledger.fee_bps
        return self.judged(receipt, "a change of the fee", legal=legal)

    async def wait(self, hours: int) -> str:
        """The chain's clock goes on."""
        block = await self.market.node.increase_time(hours * 3600 + 60)
        self.happened(block.number)
        return f"block {block.number}"

    async def reorganise(self, depth: int, *, again: bool, read: bool) -> str:
        """The last blocks, which the mirrors may have read, are replaced by empty ones; what was in them is sent again,
        or not."""
        if read:
            await self.fair.settled()
            await self.fair.caught_up()
        height, _ = await self.head()
        fork = max(self.fair.first, height - depth)
        if fork == height:
            return "nothing to take back"
        await self.market.reorg(height - fork)
        lost = [each for block, each in self.done if block > fork]
        self.done = [(block, each) for block, each in self.done if block <= fork]
        self.history = {block: ledger for block, ledger in self.history.items() if block <= fork}
        self.ledger = deepcopy(self.history[max(self.history)])
        self.happened(height)
        told = [await act(*arguments) for act, arguments in lost] if again else []
        return f"{len(lost)} transactions of {height - fork} blocks are gone" + (f"; again: {told}" if again else "")
