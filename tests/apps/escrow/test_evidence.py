"""Evidence: sealed documents in, their IPFS addresses out, and what the contract has put on record."""

import asyncio
import base64
import json
import secrets
from io import BytesIO
from pathlib import Path
from typing import Any

from aiohttp.payload import BytesIOPayload

from entrepot.kernel.store.cid import cid_of
from tests.apps.escrow.conftest import Caller, Quarrel, SharedChain, opened_market
from tests.callers import Answer, refused
from tests.conftest import TestDatabase, free_port
from tests.kernel.test_objects import noded


def base64_of(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode()


def sealed(case: Quarrel, size: int = 1_000, **changes: Any) -> dict[str, Any]:
    """A sealed document, as far as a server can tell."""
    keys = {caller.wallet: base64_of(80) for caller in (case.buyer, case.seller, case.arbitrator)}
    return {"encrypted_data": base64_of(size), "iv": base64_of(24), "keys": keys, **changes}


def kept(given: dict[str, Any]) -> bytes:
    """The document as it must be kept."""
    keys = dict(sorted(given["keys"].items()))
    document = {"encrypted_data": given["encrypted_data"], "iv": given["iv"], "keys": keys}
    return json.dumps(document, separators=(",", ":")).encode()


async def hand_in(by: Caller, path: str, given: dict[str, Any]) -> Answer:
    """As much as several megabytes."""
    body = BytesIOPayload(BytesIO(json.dumps(given).encode()), content_type="application/json")
    return await by.call("POST", path, data=body)


async def on_record(case: Quarrel, by: Caller, cid: str, kind: str = "other") -> None:
    """As the mirror writes it."""
    await case.market.owner.execute(
        """INSERT INTO escrow.dispute_evidence (order_id, submitter_wallet, ipfs_hash, evidence_type, block_number)
        VALUES ($1, $2, $3, $4, 25)""",
        *(case.id, by.wallet, cid, kind),
    )


async def test_a_party_hands_in_evidence_and_gets_its_address_and_the_transaction(quarrel: Quarrel) -> None:
    path, given = f"disputes/{quarrel.id}/evidence", sealed(quarrel, evidence_type="screenshot")
    answer = await quarrel.buyer.post(path, **given)
    assert answer.status == 201, answer.body
    cid = answer.body["cid"]
    assert (cid, answer.body["size"]) == (cid_of(kept(given)), len(kept(given)))
    data = bytes.fromhex(answer.body["transaction"]["data"][2:])
    assert cid.encode() in data
    assert answer.body["transaction"]["chain_id"] == 31_337
    row = await quarrel.market.owner.fetchrow("SELECT * FROM escrow.evidence_uploads")
    assert (row["ipfs_hash"], row["submitter_wallet"], row["evidence_type"]) == (
        cid,
        quarrel.buyer.wallet,
        "screenshot",
    )
    again = await quarrel.buyer.post(path, **given)
    assert again.body == answer.body
    assert await quarrel.market.owner.fetchval("SELECT count(*) FROM escrow.evidence_uploads") == 1
    assert await quarrel.market.owner.fetchval("SELECT count(*) FROM escrow.dispute_evidence") == 0


async def test_all_three_read_what_is_on_record_and_before_that_its_submitter_only(quarrel: Quarrel) -> None:
    path, given = f"disputes/{quarrel.id}/evidence", sealed(quarrel)
    cid = (await quarrel.seller.post(path, **given)).body["cid"]
    assert (await quarrel.seller.get(f"{path}/{cid}")).body == given
    for caller in (quarrel.buyer, quarrel.arbitrator):
        refused(await caller.get(f"{path}/{cid}"), 404, "no-such-evidence")
    await on_record(quarrel, quarrel.seller, cid, "conversation")
    for caller in quarrel.everyone:
        assert (await caller.get(f"{path}/{cid}")).body["encrypted_data"] == given["encrypted_data"]
        listed = (await caller.get(f"disputes/{quarrel.id}")).body["evidence"]
        assert [(one["ipfs_hash"], one["submitter_wallet"], one["evidence_type"]) for one in listed] == [
            (cid, quarrel.seller.wallet, "conversation")
        ]
        assert listed[0]["arbitrator_wallet"] == quarrel.arbitrator.wallet
    refused(await quarrel.other.get(f"{path}/{cid}"), 404, "no-such-order")
    refused(await quarrel.buyer.get(f"{path}/{cid_of(b'another')}"), 404, "no-such-evidence")
    answer = await quarrel.buyer.get(f"{path}/QmTPqcLhVnCtjoYuCZwPzfXcFrUviiPComTepHfEEaGf7g")
    assert (answer.status, answer.body["field"]) == (422, "cid")


async def test_two_mebibytes_are_taken_and_one_byte_more_is_not(quarrel: Quarrel) -> None:
    path, most = f"disputes/{quarrel.id}/evidence", 2 * 1024 * 1024
    given = sealed(quarrel, most)
    answer = await hand_in(quarrel.buyer, path, given)
    assert (answer.status, answer.body["cid"]) == (201, cid_of(kept(given)))
    assert answer.body["cid"].startswith("bafybei")
    assert (await quarrel.buyer.get(f"{path}/{answer.body['cid']}")).body["encrypted_data"] == given["encrypted_data"]
    answer = await hand_in(quarrel.buyer, path, sealed(quarrel, most + 1))
    assert (answer.status, answer.body["field"]) == (422, "encrypted_data")
    refused(await hand_in(quarrel.buyer, path, sealed(quarrel, 3 * 1024 * 1024)), 413, "too-large")


def misshapen(case: Quarrel) -> dict[str, tuple[str, dict[str, Any]]]:
    """Documents with one thing wrong, and the field at fault."""
    buyer, seller, judge = case.buyer.wallet, case.seller.wallet, case.arbitrator.wallet
    key = base64_of(80)
    wrong_case = buyer[:-1] + buyer[-1].swapcase() if buyer[-1].isalpha() else "0x" + "aB" * 20
    keys = {
        "of two": {buyer: key, seller: key},
        "of a stranger": {buyer: key, seller: key, case.other.wallet: key},
        "of a fourth": {buyer: key, seller: key, judge: key, case.other.wallet: key},
        "that are no base64": {buyer: key, seller: key, judge: "?"},
        "that are too long": {buyer: key, seller: key, judge: base64_of(513)},
        "of a wrong checksum": {wrong_case: key, seller: key, judge: key},
        "of no wallet": {"buyer": key, "seller": key, "arbitrator": key},
    }
    found = {f"keys {why}": ("keys", {"keys": given}) for why, given in keys.items()}
    found |= {f"an iv of {size}": ("iv", {"iv": base64_of(size)}) for size in (11, 16, 23, 25)}
    return found | {
        "data that is no base64": ("encrypted_data", {"encrypted_data": "plain text"}),
        "no data": ("encrypted_data", {"encrypted_data": ""}),
        "an unknown kind": ("evidence_type", {"evidence_type": "hearsay"}),
        "a plaintext beside it": ("plaintext", {"plaintext": "the buyer lies"}),
    }


async def test_what_is_misshapen_is_refused_and_nothing_is_written(quarrel: Quarrel) -> None:
    before, taken = await quarrel.market.snapshot(), []
    for why, (field, changes) in misshapen(quarrel).items():
        answer = await quarrel.buyer.post(f"disputes/{quarrel.id}/evidence", **sealed(quarrel, **changes))
        if answer.status != 422 or not answer.body["field"].startswith(field):
            taken.append((why, answer.status, answer.body))
    assert taken == []
    assert await quarrel.market.snapshot() == before


async def test_only_a_party_hands_in_and_only_while_the_contract_takes_it(quarrel: Quarrel) -> None:
    path, given = f"disputes/{quarrel.id}/evidence", sealed(quarrel)
    before = await quarrel.market.snapshot()
    for caller in (quarrel.arbitrator, quarrel.other):
        refused(await caller.post(path, **given), 404, "no-such-order")
    assert (await quarrel.market.stranger().post(path, **given)).status == 401
    assert await quarrel.market.snapshot() == before
    await quarrel.becomes(default_deadline="-1 hours")
    refused(await quarrel.buyer.post(path, **given), 409, "too-late")
    await quarrel.becomes(default_deadline="1 hours", arbitrator_wallet=None)
    refused(await quarrel.buyer.post(path, **given), 409, "no-arbitrator-yet")
    await quarrel.becomes(status="seller_confirmed")
    refused(await quarrel.buyer.post(path, **given), 409, "wrong-state", state="seller_confirmed", expected="disputed")
    assert await quarrel.market.owner.fetchval("SELECT count(*) FROM escrow.evidence_uploads") == 0


async def test_after_a_new_draw_evidence_is_for_the_new_arbitrator(quarrel: Quarrel) -> None:
    path, old = f"disputes/{quarrel.id}/evidence", sealed(quarrel)
    cid = (await quarrel.buyer.post(path, **old)).body["cid"]
    await on_record(quarrel, quarrel.buyer, cid)
    await quarrel.becomes(arbitrator_wallet=quarrel.other.wallet)
    answer = await quarrel.buyer.post(path, **old)
    assert (answer.status, answer.body["field"]) == (422, "keys")
    refused(await quarrel.arbitrator.get(f"{path}/{cid}"), 404, "no-such-order")
    listed = (await quarrel.other.get(f"disputes/{quarrel.id}")).body["evidence"]
    assert listed[0]["arbitrator_wallet"] == quarrel.arbitrator.wallet


async def test_a_party_hands_in_twenty_pieces_at_most(quarrel: Quarrel) -> None:
    path = f"disputes/{quarrel.id}/evidence"
    for _ in range(20):
        assert (await quarrel.buyer.post(path, **sealed(quarrel, 10))).status == 201
    refused(await quarrel.buyer.post(path, **sealed(quarrel, 10)), 409, "too-much-evidence", most=20)
    assert (await quarrel.seller.post(path, **sealed(quarrel, 10))).status == 201
    await quarrel.becomes(arbitrator_wallet=quarrel.other.wallet)
    quarrel.arbitrator = quarrel.other
    answer = await quarrel.buyer.post(path, **sealed(quarrel, 10))
    assert answer.status == 201, "the next arbitrator can open none of the twenty"


async def test_of_many_pieces_at_once_twenty_are_taken_and_each_may_be_asked_for_again(quarrel: Quarrel) -> None:
    path, given = f"disputes/{quarrel.id}/evidence", [sealed(quarrel, 10) for _ in range(26)]
    answers = await asyncio.gather(*(quarrel.buyer.post(path, **each) for each in given))
    assert sorted(answer.status for answer in answers) == [201] * 20 + [409] * 6
    assert await quarrel.market.owner.fetchval("SELECT count(*) FROM escrow.evidence_uploads") == 20
    first = next(number for number, answer in enumerate(answers) if answer.status == 201)
    again = await quarrel.buyer.post(path, **given[first])
    assert (again.status, again.body) == (201, answers[first].body), "it adds nothing"


async def test_where_the_store_does_not_answer_nothing_is_written(
    quarrel: Quarrel,
    database: TestDatabase,
    chain: SharedChain,
) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    async with opened_market(database, chains=(chain.settings,), objects_url="", ipfs_api=nowhere) as market:
        buyer = Caller(market.http, account=quarrel.buyer.account, token=quarrel.buyer.token)
        before = await market.snapshot()
        answer = await buyer.call("POST", f"disputes/{quarrel.id}/evidence", key="once", json=sealed(quarrel))
        refused(answer, 503, "unavailable", part="object store")
        assert await market.snapshot() == before


def only_file(folder: Path) -> Path:
    (found,) = [path for path in folder.rglob("*") if path.is_file()]
    return found


async def test_evidence_that_was_altered_where_it_is_kept_is_not_handed_out(
    quarrel: Quarrel, database: TestDatabase, chain: SharedChain, tmp_path: Path
) -> None:
    async with opened_market(database, chains=(chain.settings,), objects_url=tmp_path.as_uri()) as market:
        buyer = Caller(market.http, account=quarrel.buyer.account, token=quarrel.buyer.token)
        path, given = f"disputes/{quarrel.id}/evidence", sealed(quarrel)
        cid = (await buyer.post(path, **given)).body["cid"]
        kept_at = only_file(tmp_path)
        assert (kept_at.name, kept_at.read_bytes()) == (cid, kept(given))
        kept_at.write_bytes(kept(given)[:-1])
        refused(await buyer.get(f"{path}/{cid}"), 503, "unavailable", part="object store")
        refused(await buyer.post(path, **given), 503, "unavailable", part="object store")
        kept_at.unlink()
        refused(await buyer.get(f"{path}/{cid}"), 404, "no-such-evidence")


async def test_evidence_is_kept_in_an_ipfs_node_where_one_is_named(
    quarrel: Quarrel,
    database: TestDatabase,
    chain: SharedChain,
) -> None:
    settings = {"chains": (chain.settings,), "objects_url": ""}
    async with noded() as node, opened_market(database, ipfs_api=node, **settings) as market:
        seller = Caller(market.http, account=quarrel.seller.account, token=quarrel.seller.token)
        path, given = f"disputes/{quarrel.id}/evidence", sealed(quarrel, 300_000)
        answer = await hand_in(seller, path, given)
        assert (answer.status, answer.body["cid"]) == (201, cid_of(kept(given)))
        assert (await seller.get(f"{path}/{answer.body['cid']}")).body == given
        async with market.http.post(f"{node}/api/v0/cat", params={"arg": answer.body["cid"]}) as theirs:
            assert await theirs.read() == kept(given)
