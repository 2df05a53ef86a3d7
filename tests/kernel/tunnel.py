"""A real TCP tunnel to the test's PostgreSQL that need not tell its client when the server has hung up."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Tunnel:
    """Where it leads from, and whether the server has hung up on someone who was not told."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.is_silent = False
        self.server_left = asyncio.Event()
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until the tunnel is closed."""
        upstream, downstream = await asyncio.open_unix_connection(str(self.socket))
        async with asyncio.TaskGroup() as group:
            ways = [group.create_task(pass_on(reader, downstream)), group.create_task(pass_on(upstream, writer))]
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if self.is_silent:
                self.server_left.set()
                await self.closed.wait()
            for each in ways:
                each.cancel()
            downstream.close()
            writer.close()


async def pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Every byte, and not the end."""
    with suppress(ConnectionError):
        while piece := await source.read(65_536):
            target.write(piece)
            await target.drain()


def socket_in(folder: Path) -> Path:
    """PostgreSQL's socket."""
    return next(path for path in folder.glob(".s.PGSQL.*") if path.suffix != ".lock")


@asynccontextmanager
async def dug(url: str) -> AsyncIterator[tuple[str, Tunnel]]:
    """The address of the tunnel's near end, and the tunnel."""
    parts = urlsplit(url)
    tunnel = Tunnel(socket_in(Path(parse_qs(parts.query)["host"][0])))
    server = await asyncio.start_server(tunnel.serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield parts._replace(netloc=f"{parts.username}@{host}:{port}", query="sslmode=disable").geturl(), tunnel
    finally:
        tunnel.closed.set()
        server.close()
