"""A Redis of a test's own, which can be killed, frozen and started again."""

import asyncio
import shutil
import signal
from contextlib import suppress
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.conftest import free_port
from tests.kernel.cache.larder import until


class RedisServer:
    """A redis-server that can be stopped, frozen and started again at the same place. It keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until it answers."""
        program = shutil.which("redis-server") or pytest.skip("needs redis-server; on Debian: apt install redis-server")
        told = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self._process = await asyncio.create_subprocess_exec(program, *told, stdout=asyncio.subprocess.DEVNULL)
        await until(self._answers)

    async def _answers(self) -> bool:
        with suppress(RedisError, OSError):
            async with Redis.from_url(self.url) as client:
                return bool(await client.ping())
        return False

    async def kill(self) -> None:
        """At once; what it held is gone."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    def freeze(self) -> None:
        """It takes connections and commands, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it was."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
