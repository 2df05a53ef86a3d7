"""The far tier: entries in Redis, shared by every process. Whatever goes wrong there is a miss, and never an error."""

import logging
from time import monotonic
from typing import Any

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from entrepot.kernel.cache.counts import Counts
from entrepot.kernel.cache.stored import Lock, Stored

LOG = logging.getLogger("entrepot.cache")
CONNECTIONS = 16
FAILURES = 3
"""So many in a row, and Redis is left alone for a while."""
SHORTEST_REST, LONGEST_REST = 0.2, 5.0
LOCK_LASTS = 10_000  # milliseconds, where its holder dies
TROUBLE = (RedisError, OSError, TimeoutError)
UNLOCK = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) else return 0 end"


ENCODER, DECODER = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(Stored)


class Far:
    """Redis with short patience (seconds). After failures it is left alone, longer each time, and then tried again."""

    def __init__(self, url: str, patience: float, counts: Counts) -> None:
        self.counts = counts
        self._redis = Redis(
            connection_pool=BlockingConnectionPool.from_url(
                url,
                max_connections=CONNECTIONS,
                timeout=patience,
                socket_timeout=patience,
                socket_connect_timeout=patience,
                retry=Retry(NoBackoff(), 0),
                protocol=2,
            )
        )
        self._failures = 0
        self._rest = SHORTEST_REST
        self._closed_until = 0.0

    async def close(self) -> None:
        """Ends the connections."""
        await self._redis.aclose(close_connection_pool=True)

    @property
    def is_up(self) -> bool:
        """Whether it is worth asking."""
        return monotonic() >= self._closed_until

    async def get(self, name: str) -> Stored | None:
        """What is there, if anything; whether it is still good is for the caller to say."""
        return _decoded(await self._ask([("GET", name)], [None]))

    async def take(self, name: str, token: str) -> tuple[Lock, Stored | None]:
        """Tries to be the one who loads it, and answers what another has put there just before."""
        asked = [("SET", _lock(name), token, "NX", "PX", LOCK_LASTS), ("GET", name)]
        answers = await self._ask(asked, [Lock.UNKNOWN, None])
        if answers[0] is Lock.UNKNOWN:
            return Lock.UNKNOWN, None
        return Lock.ANOTHERS if answers[0] is None else Lock.MINE, _decoded(answers[1:])

    async def put(self, name: str, stored: Stored, milliseconds: int) -> None:
        """Keeps it for at most that long."""
        await self._ask([("SET", name, ENCODER.encode(stored), "PX", milliseconds)], [None])

    async def give_up(self, name: str, token: str) -> None:
        """Lets another load it."""
        await self._ask([("EVAL", UNLOCK, 1, _lock(name), token)], [None])

    async def _ask(self, commands: list[tuple[Any, ...]], otherwise: list[Any]) -> list[Any]:
        """Their answers, in one round trip; the other ones where Redis is away, slow or refuses."""
        if not self.is_up:
            return otherwise
        try:
            pipeline = self._redis.pipeline(transaction=False)
            for command in commands:
                pipeline.execute_command(*command)
            answers: list[Any] = await pipeline.execute()
        except TROUBLE as error:
            self._failed(error)
            return otherwise
        if self._failures:
            LOG.info("Redis answers")
        self._failures, self._rest = 0, SHORTEST_REST
        return answers

    def _failed(self, error: Exception) -> None:
        """Counts it. One trial after a rest is enough to rest again."""
        self.counts.redis_failures += 1
        self._failures += 1
        if self._failures < FAILURES or not self.is_up:
            return
        self._closed_until = monotonic() + self._rest
        LOG.warning("Redis does not answer: %s; again in %.1f s", str(error) or type(error).__name__, self._rest)
        self._rest = min(2 * self._rest, LONGEST_REST)


def _lock(name: str) -> str:
    return f"{name}:lock"


def _decoded(answers: list[Any]) -> Stored | None:
    if answers[0] is None:
        return None
    try:
        return DECODER.decode(answers[0])
    except msgspec.DecodeError:  # another release's, or somebody else's
        return None
