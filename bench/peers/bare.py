"""The limit: the same statements through bare asyncpg in a bare ASGI function."""

import os
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import asyncpg

from bench.latency import open_pool
from bench.sql import FIRST_PAGE, LATER_PAGE, PRODUCT

Message = dict[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]

HEADERS = [(b"content-type", b"application/json")]
PRODUCTS = "/api/v1/escrow/products"
pool: asyncpg.Pool | None = None


async def lifespan(receive: Receive, send: Send) -> None:
    """Open the pool at start and close it at the end."""
    global pool
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            pool = await open_pool(os.environ["DATABASE_URL"], int(os.environ["POOL_SIZE"]))
            await send({"type": "lifespan.startup.complete"})
        else:
            if pool is not None:
                await pool.close()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def page(query: str) -> bytes | None:
    """Twenty products: the first page, or the one after the cursor."""
    assert pool is not None
    cursor = query.partition("cursor=")[2]
    if not cursor:
        found: bytes | None = await pool.fetchval(FIRST_PAGE, 20)
        return found
    _, moment, product = unquote(cursor).split("~")
    later: bytes | None = await pool.fetchval(LATER_PAGE, 20, datetime.fromisoformat(moment), UUID(product))
    return later


async def app(scope: Message, receive: Receive, send: Send) -> None:
    """Answer the two reads, and nothing else."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    assert pool is not None
    path: str = scope["path"]
    if path == PRODUCTS:
        body = await page(scope["query_string"].decode())
    else:
        body = await pool.fetchval(PRODUCT, UUID(path.rpartition("/")[2]))
    status = 404 if body is None else 200
    await send({"type": "http.response.start", "status": status, "headers": HEADERS})
    await send({"type": "http.response.body", "body": body or b"{}"})
