"""The JSON-RPC client of an EVM chain: several endpoints as one, bounded retries, typed reads."""

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, overload

import aiohttp
import msgspec
import stamina
from eth_hash.auto import keccak

from entrepot.kernel.chain.endpoint import (
    BadAnswer,
    ChainFailure,
    ChainUnreachable,
    Endpoint,
    Request,
    RpcError,
    Unavailable,
)

__all__ = ["BadAnswer", "Block", "ChainFailure", "ChainUnreachable", "Fees", "Log"]
__all__ += ["NoSuchBlock", "Node", "Receipt", "Rpc", "RpcError"]

T = TypeVar("T")
BATCH = 100  # requests in one HTTP body; the least that the large providers allow
ALREADY_SENT = re.compile(r"already.?known|known transaction|already.?(imported|exists)|already in", re.IGNORECASE)
NONCE_USED = re.compile(r"nonce (is )?too low|oldnonce", re.IGNORECASE)


class NoSuchBlock(ChainFailure):
    """This node has no such block: it is beyond its head, or was reorganised away."""

    def __init__(self, which: int | str) -> None:
        self.which = which
        super().__init__(f"the node has no block {which}")


class Block(msgspec.Struct, frozen=True):
    """The head of a block. `timestamp` is Unix seconds; `base_fee` is wei per gas, 0 on chains that have none.

    `bloom` is empty where the node leaves it out.
    """

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    base_fee: int = 0
    bloom: str = ""


class Log(msgspec.Struct, frozen=True):
    """An event as the chain holds it, hexadecimal in lower case; `removed` marks one that a reorganisation undid.

    `timestamp` is its block's, Unix seconds, from nodes that send it along.
    """

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: int
    block_hash: str
    tx_hash: str
    log_index: int
    removed: bool = False
    timestamp: int | None = None


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction. `gas_price` is wei per gas, as paid; `contract` is set when it created one."""

    tx_hash: str
    block_number: int
    block_hash: str
    succeeded: bool
    contract: str | None
    gas_used: int
    gas_price: int
    logs: tuple[Log, ...]


class Fees(msgspec.Struct, frozen=True):
    """Wei per gas: what the chain takes at present, and what makes a miner include the transaction soon."""

    base: int
    priority: int

    @property
    def most(self) -> int:
        """A ceiling (maxFeePerGas) that survives the base fee doubling."""
        return 2 * self.base + self.priority


class _Block(msgspec.Struct, rename="camel"):
    number: str
    hash: str
    parent_hash: str
    timestamp: str
    base_fee_per_gas: str | None = None
    logs_bloom: str = ""

    def read(self) -> Block:
        number, at, fee = map(_quantity, (self.number, self.timestamp, self.base_fee_per_gas or "0x0"))
        return Block(number, self.hash, self.parent_hash, at, fee, self.logs_bloom)


class _Log(msgspec.Struct, rename="camel"):
    address: str
    topics: list[str]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False
    block_timestamp: str | None = None

    def read(self) -> Log:
        return Log(
            self.address.lower(),
            tuple([topic.lower() for topic in self.topics]),
            self.data,
            _quantity(self.block_number),
            self.block_hash.lower(),
            self.transaction_hash.lower(),
            _quantity(self.log_index),
            self.removed,
            None if self.block_timestamp is None else _quantity(self.block_timestamp),
        )


class _Receipt(msgspec.Struct, rename="camel"):
    transaction_hash: str
    block_number: str
    block_hash: str
    status: str
    gas_used: str
    logs: list[_Log]
    contract_address: str | None = None
    effective_gas_price: str = "0x0"

    def read(self) -> Receipt:
        return Receipt(
            self.transaction_hash.lower(),
            _quantity(self.block_number),
            self.block_hash.lower(),
            _quantity(self.status) == 1,
            self.contract_address and self.contract_address.lower(),
            _quantity(self.gas_used),
            _quantity(self.effective_gas_price),
            tuple(log.read() for log in self.logs),
        )


class Node:
    """The calls of a chain over one or more endpoints; `Rpc` gives one over all, `Rpc.pinned` one over a single one.

    Each call tries every endpoint once, those that rest last, then backs off and starts again, `attempts` times in all.
    Raises RpcError when the node refuses, ChainUnreachable when no endpoint can be used, BadAnswer when one answers
    nonsense.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        session: aiohttp.ClientSession | None,
        attempts: int,
        patience: float | None = None,
    ) -> None:
        if not endpoints:
            raise ValueError("a chain needs at least one endpoint")
        self._endpoints, self._session, self._attempts = tuple(endpoints), session, attempts
        self._patience = patience
        self._ids = itertools.count(1)

    @overload
    async def call(self, method: str, params: Sequence[object] = (), *, type: type[T]) -> T: ...
    @overload
    async def call(self, method: str, params: Sequence[object] = ()) -> Any: ...
    async def call(self, method: str, params: Sequence[object] = (), *, type: Any = Any) -> Any:  # noqa: A002
        """One call, its result converted to `type`."""
        return (await self._ask([(method, params)], type, lambda given: given))[0]

    @overload
    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]], *, type: type[T]) -> list[T]: ...
    @overload
    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]: ...
    async def batch(self, calls: Sequence[tuple[str, Sequence[object]]], *, type: Any = Any) -> list[Any]:  # noqa: A002
        """Many calls in few requests: results in the order of the calls. The first refusal is raised."""
        return await self._ask(calls, type, lambda given: given)

    def rest(self) -> None:
        """Uses these endpoints after all others for a while."""
        for endpoint in self._endpoints:
            endpoint.rest()

    async def chain_id(self) -> int:
        """The EIP-155 chain id."""
        return await self._quantity("eth_chainId")

    async def head(self) -> int:
        """The number of the newest block."""
        return await self._quantity("eth_blockNumber")

    async def block(self, which: int | str = "latest") -> Block:
        """A block by number, by hash or by tag ("latest", "finalized"); raises NoSuchBlock."""
        by_hash = isinstance(which, str) and which.startswith("0x")
        method = "eth_getBlockByHash" if by_hash else "eth_getBlockByNumber"
        found: Block | None = await self._one(method, [_tag(which), False], _Block | None, _maybe)
        if found is None:
            raise NoSuchBlock(which)
        return found

    async def blocks(self, numbers: Sequence[int]) -> list[Block]:
        """Many blocks by number, in that order; raises NoSuchBlock for the first that is missing."""
        calls = [("eth_getBlockByNumber", [hex(number), False]) for number in numbers]
        found = await self._ask(calls, _Block | None, _maybe)
        for number, block in zip(numbers, found, strict=True):
            if block is None:
                raise NoSuchBlock(number)
        return found

    async def logs(self, wanted: Mapping[str, object]) -> list[Log]:
        """eth_getLogs by its own filter object, in the node's order."""
        return await self._one("eth_getLogs", [wanted], list[_Log], lambda found: [log.read() for log in found])

    async def receipt(self, tx_hash: str) -> Receipt | None:
        """None until the transaction is in a block."""
        return await self._one("eth_getTransactionReceipt", [tx_hash], _Receipt | None, _maybe)

    async def knows(self, tx_hash: str) -> bool:
        """Whether the node has the transaction, waiting or in a block."""
        return await self.call("eth_getTransactionByHash", [tx_hash]) is not None

    async def call_contract(self, to: str, data: bytes, block: int | str = "latest", *, sender: str = "") -> bytes:
        """What a call returns at a block (number, hash or tag), changing nothing; RpcError tells why it reverts."""
        at = {"blockHash": block} if isinstance(block, str) and block.startswith("0x") else _tag(block)
        asked = {"to": to, "data": "0x" + data.hex()} | ({"from": sender} if sender else {})
        return await self._one("eth_call", [asked, at], str, _octets)

    async def estimate_gas(self, call: Mapping[str, object]) -> int:
        """Gas that a transaction would use; RpcError tells why it would revert."""
        return await self._quantity("eth_estimateGas", [call])

    async def nonce(self, address: str, block: int | str = "pending") -> int:
        """How many transactions the account has sent."""
        return await self._quantity("eth_getTransactionCount", [address, _tag(block)])

    async def balance(self, address: str, block: int | str = "latest") -> int:
        """Wei."""
        return await self._quantity("eth_getBalance", [address, _tag(block)])

    async def code(self, address: str, block: int | str = "latest") -> bytes:
        """The contract at an address; empty for a plain account."""
        return await self._one("eth_getCode", [address, _tag(block)], str, _octets)

    async def fees(self) -> Fees:
        """The fees of the newest block; chains without EIP-1559 get their whole gas price as the priority."""
        base = (await self.block()).base_fee
        try:
            return Fees(base, await self._quantity("eth_maxPriorityFeePerGas"))
        except RpcError:
            return Fees(base, max(0, await self._quantity("eth_gasPrice") - base))

    async def send_raw(self, signed: bytes) -> str:
        """The transaction's hash. Sending the same again is no error, so that a lost answer can be retried."""
        tx_hash = "0x" + keccak(signed).hex()
        try:
            await self.call("eth_sendRawTransaction", ["0x" + signed.hex()], type=str)
        except RpcError as refused:
            sent = ALREADY_SENT.search(refused.message)
            if not sent and not (NONCE_USED.search(refused.message) and await self.knows(tx_hash)):
                raise
        return tx_hash

    async def _quantity(self, method: str, params: Sequence[object] = ()) -> int:
        return await self._one(method, params, str, _quantity)

    async def _one(self, method: str, params: Sequence[object], wire: Any, read: Callable[[Any], T]) -> T:
        return (await self._ask([(method, params)], wire, read))[0]

    async def _ask(self, calls: Sequence[tuple[str, Sequence[object]]], wire: Any, read: Callable[[Any], T]) -> list[T]:
        found: list[T] = []
        for start in range(0, len(calls), BATCH):
            requests = [Request(next(self._ids), method, params) for method, params in calls[start : start + BATCH]]
            endpoint, results = await self._send(requests)
            for request, result in zip(requests, results, strict=True):
                try:
                    found.append(read(msgspec.json.decode(result, type=wire)))
                except ValueError as wrong:  # msgspec's errors are ValueErrors
                    raise BadAnswer(endpoint.name, request.method, str(wrong)) from None
        return found

    async def _send(self, requests: Sequence[Request]) -> tuple[Endpoint, list[msgspec.Raw]]:
        tries = stamina.retry_context(on=_worth_a_wait, attempts=self._attempts, wait_max=5, wait_jitter=0.2)
        try:
            async with asyncio.timeout(self._patience):
                async for attempt in tries:
                    with attempt:
                        return await self._round(requests)
        except TimeoutError:
            why = Unavailable(f"no answer within {self._patience:g} s", timed_out=True)
            raise ChainUnreachable([each.name for each in self._endpoints], [why] * len(self._endpoints)) from None
        raise AssertionError("stamina ends with a result or an error")

    async def _round(self, requests: Sequence[Request]) -> tuple[Endpoint, list[msgspec.Raw]]:
        if self._session is None:
            raise RuntimeError("open the client first: async with Rpc(...) as rpc")
        failed: dict[Endpoint, Unavailable] = {}
        for endpoint in sorted(self._endpoints, key=lambda each: each.resting):
            try:
                return endpoint, await endpoint.exchange(self._session, requests)
            except Unavailable as why:
                failed[endpoint] = why
        raise ChainUnreachable([endpoint.name for endpoint in failed], list(failed.values()))


class Rpc(Node):
    """A client over several endpoints of one chain, the first preferred; one that fails rests for `cool_down` seconds.

    `timeout` is seconds for one HTTP exchange, `patience` for a call with all its attempts (None: as long as they
    take). Endpoints of another chain than `chain_id` are not used. Raises ValueError for an address that is not HTTP.
    """

    def __init__(
        self,
        endpoints: Sequence[str],
        *,
        timeout: float = 10,
        attempts: int = 5,
        cool_down: float = 30,
        patience: float | None = None,
        chain_id: int | None = None,
    ) -> None:
        places = [Endpoint(url, cool_down=cool_down, chain_id=chain_id) for url in endpoints]
        super().__init__(places, None, attempts, patience)
        self._timeout = timeout

    async def __aenter__(self) -> Self:
        headers = {"Content-Type": "application/json"}
        self._session = aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=self._timeout))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    @asynccontextmanager
    async def pinned(self) -> AsyncIterator[Node]:
        """The same calls on one endpoint that answers now, for reads that must come from one view of the chain.

        One that refuses or answers nonsense meanwhile rests, so that the next view is another's, where there is one.
        """
        endpoint, _ = await self._send([Request(next(self._ids), "eth_chainId", ())])
        try:
            yield Node([endpoint], self._session, self._attempts, self._patience)
        except (ChainFailure, ValueError):
            endpoint.rest()
            raise


def _worth_a_wait(error: Exception) -> bool | float:
    if not isinstance(error, ChainUnreachable) or not error.again:
        return False
    return True if error.wait is None else min(error.wait, 10.0)


def _quantity(text: str) -> int:
    if not re.fullmatch(r"0x[0-9a-fA-F]+", text):
        raise ValueError(f"{text[:40]!r} is not a hexadecimal quantity")
    return int(text, 16)


def _octets(text: str) -> bytes:
    if not text.startswith("0x"):
        raise ValueError(f"{text[:40]!r} is not hexadecimal data")
    return bytes.fromhex(text[2:])


def _maybe(found: Any) -> Any:
    return None if found is None else found.read()


def _tag(block: int | str) -> str:
    return hex(block) if isinstance(block, int) else block
