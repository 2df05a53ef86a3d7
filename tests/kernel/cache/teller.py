"""A process of its own with a cache: reads commands from its input and tells of them on its output, a line each."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any

import msgspec

from entrepot.kernel.cache.follower import POLL
from entrepot.kernel.settings import Settings
from tests.kernel.cache.larder import Larder, larder


class Told(msgspec.Struct, frozen=True):
    """What became of a command: times by a clock that all processes of a machine share."""

    id: int
    version: int
    began: float
    ended: float


class Command(msgspec.Struct, frozen=True):
    """`look` or `write`, that often at once; `counts` tells the counts instead of a version."""

    id: int
    what: str
    thing: int = 0
    slowness: float = 0.0
    times: int = 1


async def obey(shop: Larder, command: Command) -> None:
    """Does it and tells of the last of those that were done at once."""
    began = monotonic()
    if command.what == "look":
        versions = await asyncio.gather(*(shop.look(command.thing, command.slowness) for _ in range(command.times)))
    elif command.what == "write":
        versions = [await shop.write(command.thing)]
    else:
        versions = [getattr(shop.cache.counts, command.what)]
    assert len(set(versions)) == 1, versions
    told = Told(command.id, versions[0], began, monotonic())
    sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Until its input ends."""
    given = msgspec.json.decode(sys.argv[1])
    settings = Settings(**given, cache_bytes=10_000_000, redis_timeout=1.0, pool_size=4)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with larder(settings, float(sys.argv[2])) as shop, asyncio.TaskGroup() as tasks:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        async for line in reader:
            tasks.create_task(obey(shop, msgspec.json.decode(line, type=Command)))


class Teller:
    """The other end of it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.ready = asyncio.Event()
        self._waiting: dict[int, asyncio.Future[Told]] = {}

    async def ask(self, what: str, **more: Any) -> Told:
        """What became of a command."""
        number = len(self._waiting)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(Command(number, what, **more)) + b"\n")
        return await self._waiting[number]

    async def end(self) -> int:
        """Ends it, and answers its exit status."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return await self.process.wait()

    async def listen(self) -> None:
        """Until its output ends."""
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"ready\n"
        self.ready.set()
        async for line in self.process.stdout:
            told = msgspec.json.decode(line, type=Told)
            self._waiting[told.id].set_result(told)


@asynccontextmanager
async def two_tellers(settings: Settings, ttl: float) -> AsyncIterator[list[Teller]]:
    """Two processes with caches of their own on that database and Redis."""
    given = msgspec.json.encode({"database_url": settings.database_url, "redis_url": settings.redis_url}).decode()
    command = (sys.executable, "-m", "tests.kernel.cache.teller", given, str(ttl))
    pipe = asyncio.subprocess.PIPE
    made = [Teller(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)) for _ in range(2)]
    try:
        listening = [asyncio.create_task(each.listen()) for each in made]
        await asyncio.gather(*(each.ready.wait() for each in made))
        await asyncio.sleep(POLL + 0.5)  # until then, the later one does not trust what the earlier one has kept
        yield made
        async with asyncio.timeout(10):
            assert [await each.end() for each in made] == [0, 0]
            await asyncio.gather(*listening)
    finally:
        for each in made:
            if each.process.returncode is None:
                each.process.kill()
                await each.process.wait()


if __name__ == "__main__":
    asyncio.run(main())
