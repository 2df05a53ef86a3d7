"""Logs of a range of blocks, in order, in as few requests as the node will serve."""

import re
from bisect import bisect_left, bisect_right
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing

import msgspec

from entrepot.kernel.chain.rpc import BadAnswer, ChainFailure, ChainUnreachable, Log, Node, RpcError

# What nodes and providers say when a range is too wide or holds too much (geth, erigon, Infura, Alchemy, QuickNode,
# Ankr, Cloudflare, BlockPI, dRPC, Tenderly, Chainstack, Avalanche, Moonbeam, Optimism, Arbitrum, Morph; from their
# documentation and issue trackers). Their codes differ as much: -32000, -32005, -32600, -32602, -32614, 35, HTTP 413.
TOO_MUCH = re.compile(
    r"more than [\d,]+ (results|logs)|(results|logs|query) (matched by query )?exceeds?|too many (results|logs|blocks)"
    r"|(response|result set|result)( size)?( is)? (too|exceeded|exceeds|should not)|block range|blocks distance"
    r"|range (is )?(too|limit|greater|larger|bigger)|ranges? (over )?[\d,]+ (exceeds|is bigger|blocks)|max range"
    r"|number of requested blocks|limited to (a )?[\d,]+|at most [\d,]+ blocks|smaller than size|exceeds the range"
    r"|query (duration|timeout)|timed? ?out|deadline exceeded",
    re.IGNORECASE,
)
NOT_TOO_MUCH = re.compile(r"invalid block range|beyond|out ?of ?range|not found|pruned", re.IGNORECASE)
SUGGESTED = re.compile(r"block range(?: should work:)? \[0x([0-9a-f]+), ?0x([0-9a-f]+)\]", re.IGNORECASE)
TOO_MUCH_CODES = frozenset({-32005, 413})  # EIP-1474 and HTTP; what is rate limiting was sorted out before

Topics = Sequence[str | Sequence[str] | None]


class TooManyLogs(ChainFailure):
    """One block alone holds more than the node will serve: ask for fewer contracts or topics, or another provider."""

    def __init__(self, block: int, told: str) -> None:
        self.block = block
        super().__init__(f"block {block} alone holds more logs than the node will serve; the node says: {told}")


class Page(msgspec.Struct, frozen=True):
    """Every wanted log of the blocks `first` to `last`, both included, by (block number, log index)."""

    first: int
    last: int
    logs: tuple[Log, ...]


class _Span:
    """How many blocks to ask for: halved when refused, doubled after success.

    Each time that the doubling itself is refused, twice as many successes must come before the next, 64 at most: a
    steady limit costs few refusals, and a crowded stretch is left behind quickly.
    """

    def __init__(self, blocks: int) -> None:
        self.blocks, self._most = blocks, blocks
        self._patience, self._calm, self._on_trial = 1, 0, False

    def succeeded(self) -> None:
        self._calm, self._on_trial = self._calm + 1, False
        if self._calm >= self._patience and self.blocks < self._most:
            self.blocks, self._calm, self._on_trial = min(self._most, self.blocks * 2), 0, True

    def crowded(self, times: float) -> None:
        """So many times more logs came than one page is to hold."""
        self.blocks, self._calm, self._on_trial = max(1, int(self.blocks / times)), 0, False

    def refused(self, asked: int, suggested: int) -> None:
        self.blocks = suggested if 0 < suggested < asked else max(1, asked // 2)
        self._patience = min(64, self._patience * 2) if self._on_trial else 1
        self._calm, self._on_trial = 0, False


async def fetch(
    node: Node, address: str | Sequence[str] | None, topics: Topics, first: int, last: int, *, span: int = 2_000
) -> AsyncIterator[Log]:
    """The logs of blocks `first` to `last`, both included, ordered by (block number, log index). Errors as in pages."""
    async with aclosing(pages(node, address, topics, first, last, span=span)) as found:
        async for page in found:
            for log in page.logs:
                yield log


async def pages(
    node: Node,
    address: str | Sequence[str] | None,
    topics: Topics,
    first: int,
    last: int,
    *,
    span: int = 2_000,
    most: int = 5_000,
) -> AsyncGenerator[Page, None]:
    """The same as consecutive pages that leave no block out, so that a reader can note how far it has come.

    `span` is the most blocks asked for at once; a page holds `most` logs, or a single block that has more. Raises
    TooManyLogs for a single block that the node will not serve, BadAnswer when a page does not hold together, and what
    `node.logs` raises. A page is of one request: pages of a chain that is reorganised meanwhile may disagree, which the
    block hashes tell.
    """
    width, start = _Span(span), first
    while start <= last:
        end = min(last, start + width.blocks - 1)
        wanted = _filter(address, topics, start, end)
        try:
            found = await node.logs(wanted)
        except (RpcError, ChainUnreachable) as refused:
            if not is_too_much(refused):
                raise
            if start == end:
                raise TooManyLogs(start, str(refused)) from refused
            if isinstance(refused, ChainUnreachable):
                await node.head()  # raises when it is the node that is slow and not the range
            width.refused(end - start + 1, _suggested(refused, start))
            continue
        for page in _split(Page(start, end, _ordered(found, start, end)), most):
            yield page
        if len(found) > most:
            width.crowded(len(found) / most)
        else:
            width.succeeded()
        start = end + 1


def _split(page: Page, most: int) -> Iterator[Page]:
    """The page in pieces of whole blocks, each of at most so many logs where its blocks allow it."""
    first, begin = page.first, 0
    while len(page.logs) - begin > most:
        block = page.logs[begin + most].block_number  # the first that does not fit
        end = bisect_left(page.logs, block, begin, key=lambda log: log.block_number)
        if end == begin:  # it alone is more than that
            end = bisect_right(page.logs, block, begin, key=lambda log: log.block_number)
        if end == len(page.logs):
            break
        block = page.logs[end].block_number
        yield Page(first, block - 1, page.logs[begin:end])
        first, begin = block, end
    yield Page(first, page.last, page.logs[begin:])


def is_too_much(refused: ChainFailure) -> bool:
    """Whether a smaller range may be served: the node said so, or it was asked and did not answer in time."""
    if isinstance(refused, ChainUnreachable):
        return refused.timed_out
    if not isinstance(refused, RpcError):
        return False
    told = f"{refused.message} {refused.data or ''}"
    return not NOT_TOO_MUCH.search(told) and (refused.code in TOO_MUCH_CODES or bool(TOO_MUCH.search(told)))


def _suggested(refused: ChainFailure, start: int) -> int:
    """How many blocks from `start` the node says would do; 0 when it says nothing usable."""
    found = SUGGESTED.search(str(refused))
    if found is None or int(found[1], 16) != start:
        return 0
    return int(found[2], 16) - start + 1


def _filter(address: str | Sequence[str] | None, topics: Topics, first: int, last: int) -> dict[str, object]:
    wanted: dict[str, object] = {"fromBlock": hex(first), "toBlock": hex(last), "topics": topics}
    return wanted if address is None else wanted | {"address": address}


def _ordered(found: Sequence[Log], first: int, last: int) -> tuple[Log, ...]:
    """In chain order; refuses what no single chain can hold, which is how a wavering provider shows."""
    logs = sorted((log for log in found if not log.removed), key=lambda log: (log.block_number, log.log_index))
    hashes: dict[int, str] = {}
    before = (-1, -1)
    for log in logs:
        here = (log.block_number, log.log_index)
        if not first <= log.block_number <= last:
            raise BadAnswer("the node", "eth_getLogs", f"a log of block {log.block_number}, outside {first}-{last}")
        if here == before:
            raise BadAnswer("the node", "eth_getLogs", f"log {log.log_index} of block {log.block_number} twice")
        if hashes.setdefault(log.block_number, log.block_hash) != log.block_hash:
            raise BadAnswer("the node", "eth_getLogs", f"two different blocks {log.block_number}")
        before = here
    return tuple(logs)
