"""ASGI's types, as Litestar names them. Who annotates with them need not load Litestar, which only a server does."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from litestar.types import Receive, Send
else:
    Receive = Send = Any

__all__ = ["Receive", "Send"]
