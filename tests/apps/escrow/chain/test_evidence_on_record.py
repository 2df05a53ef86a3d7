"""Evidence as the contract records it: mirrored once, whatever its text, and taken back with its block."""

from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg
import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from entrepot.kernel.chain.indexer import Indexer
from entrepot.kernel.store.cid import cid_of
from tests.apps.escrow.agreement import disagreements
from tests.apps.escrow.chain.deals import dispute
from tests.bazaar import Bazaar

SUBMIT = keccak(text="submitEvidence(uint256,string)")[:4]
FIRST, SECOND = (cid_of(text) for text in (b"first", b"second"))


@dataclass
class Record:
    """Order 1 of a real contract, disputed, and its mirror."""

    market: Bazaar
    indexer: Indexer
    owner: asyncpg.Connection

    @property
    def seller(self) -> str:
        return self.market.parties[0].address

    @property
    def buyer(self) -> str:
        return self.market.parties[1].address

    async def submit(self, by: str, cid: bytes | str) -> None:
        """Any bytes: the contract does not look at them."""
        raw = cid if isinstance(cid, bytes) else cid.encode()
        await self.market.send(by, self.market.escrow, SUBMIT + encode(["uint256", "bytes"], [1, raw]))
        await self.market.settled()

    async def mirrored(self) -> list[tuple[str, str]]:
        """Who has put what on record, in order, once the mirror has caught up."""
        await self.indexer.catch_up()
        rows = await self.owner.fetch("SELECT * FROM escrow.dispute_evidence ORDER BY created_at, id")
        return [(row["submitter_wallet"], row["ipfs_hash"]) for row in rows]


@pytest.fixture
async def record(market: Bazaar, indexer: Indexer, owner: asyncpg.Connection) -> Record:
    assert await dispute(market) == 1
    await indexer.catch_up()
    return Record(market, indexer, owner)


async def test_what_the_contract_records_is_mirrored_once_with_the_kind_that_was_handed_in(record: Record) -> None:
    await record.owner.execute(
        """INSERT INTO escrow.evidence_uploads
            (order_id, submitter_wallet, ipfs_hash, evidence_type, arbitrator_wallet, size)
        SELECT id, buyer_wallet, $1, 'screenshot', seller_wallet, 1 FROM escrow.orders""",
        SECOND,
    )
    for by, cid in ((record.seller, FIRST), (record.buyer, SECOND), (record.seller, FIRST), (record.seller, SECOND)):
        await record.submit(by, cid)
    assert await record.mirrored() == [(record.seller, FIRST), (record.buyer, SECOND), (record.seller, SECOND)]
    kinds = await record.owner.fetch("SELECT evidence_type FROM escrow.dispute_evidence ORDER BY created_at")
    assert [row[0] for row in kinds] == ["other", "screenshot", "other"]
    assert await disagreements(record.owner, record.market) == []


async def test_text_that_is_none_does_not_stop_the_mirror(record: Record) -> None:
    for raw in (b"\xff\xfe", b"a\0b", b"\xed\xa0\x80", b"x" * 100, "é".encode()):
        await record.submit(record.buyer, raw)
    await record.submit(record.buyer, FIRST)
    found = [cid for _, cid in await record.mirrored()]
    assert found == ["\ufffd\ufffd", "a\ufffdb", "\ufffd\ufffd\ufffd", "x" * 100, "é", FIRST]
    await record.market.act(
        record.seller, "createOrder", record.buyer, record.market.token(), 10**7, bytes(32), bytes(32)
    )
    await record.indexer.catch_up()
    assert await disagreements(record.owner, record.market) == []


async def test_a_reorganisation_takes_evidence_back(record: Record) -> None:
    await record.submit(record.buyer, FIRST)
    assert await record.mirrored() == [(record.buyer, FIRST)]
    await record.submit(record.buyer, FIRST)
    await record.submit(record.seller, SECOND)
    assert await record.mirrored() == [(record.buyer, FIRST), (record.seller, SECOND)]
    await record.market.reorg(2)
    assert await record.mirrored() == [(record.buyer, FIRST)]
    await record.submit(record.seller, SECOND)
    assert await record.mirrored() == [(record.buyer, FIRST), (record.seller, SECOND)]
    await record.market.reorg(await head(record) - 1)
    assert await record.mirrored() == []
    assert await record.owner.fetchval("SELECT count(*) FROM escrow.orders WHERE orphaned_at IS NULL") == 0


async def head(record: Record) -> int:
    """How many blocks there are above the deployment."""
    deployed = record.market.contracts["P2PEscrow"].block
    return (await record.market.node.rpc.block()).number - deployed


async def test_the_draw_and_the_last_deadline_are_the_contract_s(record: Record) -> None:
    async def told() -> tuple[int, datetime]:
        await record.indexer.catch_up()
        row = await record.owner.fetchrow("SELECT * FROM escrow.orders")
        order = await record.market.call("getOrder", 1)
        assert row["draw_block"] == order.draw_block
        assert row["default_deadline"] == datetime.fromtimestamp(order.default_deadline, UTC)
        return row["draw_block"], row["default_deadline"]

    first, last = await told()
    await record.market.node.mine(6)
    await record.market.act(record.buyer, "drawArbitrator", 1)
    assert await told() > (first, last), "nobody is in the pool, so that the draw is put off"
