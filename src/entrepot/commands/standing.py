"""Where every chain stands: its endpoints, the contracts that we know of, and how far they are mirrored."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec

from entrepot.kernel.app import App
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.chains import Chain, Chains
from entrepot.kernel.chain.registry import Deployed
from entrepot.kernel.chain.rpc import ChainFailure, Rpc
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.query import Query
from entrepot.kernel.settings import ChainSettings, Settings
from entrepot.kernel.values import write_value

CURSOR = "event_sync_cursor"
LAGS = 50  # blocks that a mirror may be behind before it is called late


class EndpointStanding(msgspec.Struct, frozen=True):
    """One endpoint, by its host only, as addresses may hold keys."""

    name: str
    head: int | None
    fault: str = ""

    @property
    def told(self) -> str:
        """In a few words."""
        return self.fault or f"head {self.head}"


class ContractStanding(msgspec.Struct, frozen=True):
    """One contract. `lag` is blocks between the mirror and the head; None where nothing mirrors it yet."""

    name: str
    address: str
    block: int
    has_code: bool
    lag: int | None
    is_mirrored: bool

    @property
    def lag_told(self) -> str:
        """In a few words."""
        if not self.is_mirrored:
            return ""
        return "not begun" if self.lag is None else f"{self.lag} behind"

    @property
    def is_well(self) -> bool:
        """Whether it is there and, where it is to be, mirrored without delay."""
        return self.has_code and (not self.is_mirrored or (self.lag is not None and self.lag <= LAGS))


class ChainStanding(msgspec.Struct, frozen=True):
    """One chain."""

    name: str
    chain_id: int
    endpoints: list[EndpointStanding]
    contracts: list[ContractStanding]

    @property
    def head(self) -> int | None:
        """The newest block that any endpoint knows."""
        return max((each.head for each in self.endpoints if each.head is not None), default=None)

    @property
    def is_well(self) -> bool:
        """Whether it answers, on every endpoint, and the contracts are there."""
        return (
            not any(each.fault for each in self.endpoints)
            and bool(self.contracts)
            and all(each.is_well for each in self.contracts)
        )

    def as_json(self) -> dict[str, Any]:
        """For a script."""
        return {**msgspec.to_builtins(self, enc_hook=write_value), "head": self.head, "is_well": self.is_well}


async def standings(settings: Settings, apps: Sequence[App]) -> list[ChainStanding]:
    """Of every chain in the settings."""
    async with Database(settings.database_url, settings) as database, Chains(settings.chains) as chains:
        async with database.read() as db:
            deployed = await registry.everything(db)
        cursors = await _cursors(database, apps)
        mirrored = frozenset(name for app in apps for name in app.contracts)
        looks = [
            _standing(
                one, chains.all[one.name], [each for each in deployed if each.chain == one.name], cursors, mirrored
            )
            for one in settings.chains
        ]
        return await asyncio.gather(*looks)  # a chain that is down takes its time to show it


async def _standing(
    told: ChainSettings,
    chain: Chain,
    deployed: Sequence[Deployed],
    cursors: Mapping[tuple[str, str], int],
    mirrored: frozenset[str],
) -> ChainStanding:
    endpoints = await asyncio.gather(*(look(url, told.chain_id) for url in told.endpoints))
    head = max((each.head for each in endpoints if each.head is not None), default=None)
    contracts = []
    for each in deployed:
        read = cursors.get((each.chain, each.address.lower()))
        lag = None if head is None or read is None else max(0, head - read)
        code = head is not None and bool(await chain.rpc.code(each.address))
        contracts.append(ContractStanding(each.name, each.address, each.block, code, lag, each.name in mirrored))
    return ChainStanding(told.name, told.chain_id, endpoints, contracts)


async def look(url: str, chain_id: int) -> EndpointStanding:
    """Asks one endpoint which chain it is of and how far it has come."""
    name = urlsplit(url).hostname or url
    try:
        async with Rpc([url], timeout=5, attempts=1) as rpc:
            answered, head = await rpc.chain_id(), await rpc.head()
    except (ChainFailure, ValueError) as failed:
        return EndpointStanding(name, None, f"does not answer: {failed}")
    if answered != chain_id:
        return EndpointStanding(name, head, f"is of chain {answered}, and the settings say {chain_id}")
    return EndpointStanding(name, head)


async def _cursors(database: Database, apps: Sequence[App]) -> dict[tuple[str, str], int]:
    """How far each contract is read, by chain and lower-case address, from every app that keeps such a cursor."""
    found: dict[tuple[str, str], int] = {}
    for app in apps:
        if CURSOR in app.retention:  # which names every table
            query = Query(f"SELECT chain::text, lower(contract) AS contract, last_block FROM {app.name}.{CURSOR}")
            async with database.read() as db:
                for chain, contract, block in await db.rows(query):
                    found[chain, contract] = block
    return found
