"""A real TCP line to a server, which breaks just before an answer that is to be lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

REPLY = b'"kind":"reply"'


class Cable:
    """`loses` is how many replies of a stream are lost from now on, each with its connection; down, it takes none."""

    def __init__(self, url: str) -> None:
        self.port, self.loses, self.is_down = urlsplit(url).port, 0, False
        self.lines: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        if self.is_down:
            writer.close()
            return
        upstream, downstream = await asyncio.open_connection("127.0.0.1", self.port)
        self.lines.add(writer)
        ways = [asyncio.create_task(self._pass(*each)) for each in ((reader, downstream), (upstream, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        self.lines.discard(writer)
        for end in (downstream, writer):
            end.close()

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(65_536):
                if self.loses and REPLY in piece:
                    self.loses -= 1
                    return
                target.write(piece)
                await target.drain()

    def cut(self) -> None:
        """Breaks every connection."""
        for line in self.lines:
            line.close()


@asynccontextmanager
async def cabled(url: str) -> AsyncIterator[tuple[str, Cable]]:
    """The address of the near end, and the line."""
    cable = Cable(url)
    server = await asyncio.start_server(cable.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http://{host}:{port}", cable
    finally:
        server.close()
        cable.cut()
