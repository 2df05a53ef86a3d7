"""Who is here: oneself, those whom one looks for, and those of whom one wants to hear nothing."""

from collections.abc import AsyncIterator

from entrepot.apps.chat.calls.blocks import Block, BlockPage, BlockWallet, ListBlocks
from entrepot.apps.chat.calls.users import EditMe, FindUsers, FoundUsers, GetMe, GetUser, Me, User
from entrepot.client.transport import PAGE, Transport, asked
from entrepot.kernel.wallet import Wallet


class Users:
    """Users, as one wallet may know of them."""

    def __init__(self, transport: Transport, wallet: Wallet) -> None:
        self._transport, self._wallet = transport, wallet

    async def me(self) -> Me:
        """What this wallet is here."""
        return await self._transport.get("/chat/me", GetMe(by=self._wallet), Me)

    async def rename(self, name: str | None) -> Me:
        """What this wallet wants to be called; None takes the name away."""
        return await self._transport.command("PATCH", "/chat/me", asked(EditMe, by=self._wallet, name=name), Me)

    async def get(self, wallet: str) -> User:
        """Somebody. Raises `Refused` (404) for who is not here, and for who is blocked, either way."""
        return await self._transport.get("/chat/users/{wallet}", asked(GetUser, by=self._wallet, wallet=wallet), User)

    async def find(self, q: str) -> list[User]:
        """By the beginning of a name or a part of a wallet, twenty at the most."""
        return (await self._transport.get("/chat/users", asked(FindUsers, by=self._wallet, q=q), FoundUsers)).items


class Blocks:
    """Whom one wallet hears nothing of, nor they of it, except in groups that both are in."""

    def __init__(self, transport: Transport, wallet: Wallet) -> None:
        self._transport, self._wallet = transport, wallet

    async def add(self, wallet: str) -> None:
        """Somebody, whether or not they are here."""
        ask = asked(BlockWallet, by=self._wallet, wallet=wallet)
        await self._transport.command("POST", "/chat/blocks/{wallet}", ask, type(None))

    async def remove(self, wallet: str) -> None:
        """Takes a block back."""
        ask = asked(BlockWallet, by=self._wallet, wallet=wallet)
        await self._transport.command("DELETE", "/chat/blocks/{wallet}", ask, type(None))

    async def list(self) -> AsyncIterator[Block]:
        """All of them, the newest first."""
        ask = asked(ListBlocks, by=self._wallet, limit=PAGE)
        async for each in self._transport.every("/chat/blocks", ask, BlockPage):
            yield each
