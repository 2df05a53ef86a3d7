"""Sign-in by wallet, as a wallet sees it."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from eth_account.signers.local import LocalAccount
from hypothesis import given
from hypothesis import strategies as st

from entrepot.dev.anvil import Anvil, anvil
from entrepot.kernel import clock
from entrepot.kernel.identity.message import read_message, stamp
from entrepot.kernel.identity.operations import purge_sign_ins
from entrepot.kernel.identity.signature import recovered
from entrepot.kernel.refusal import Malformed
from entrepot.kernel.settings import ChainSettings
from tests.kernel.conftest import Client, Serve

CONTRACT = Path(__file__).parent / "contracts" / "built" / "ContractWallet.json"
NOBODY = "http://127.0.0.1:9"
KEY = "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="


async def ask(client: Client, wallet: str, **more: Any) -> str:
    """A message for the wallet to sign."""
    _, nonce, _ = await client.call("POST", "/auth/nonce", json={"wallet": wallet, **more})
    message: str = nonce["message"]
    return message


def sign(account: LocalAccount, message: str) -> dict[str, str]:
    """The message with the account's signature."""
    signature = account.sign_message(encode_defunct(text=message)).signature.to_0x_hex()
    return {"message": message, "signature": signature}


async def sign_in(client: Client, account: LocalAccount) -> str:
    """A session token."""
    status, session, _ = await client.call(
        "POST", "/auth/verify", json=sign(account, await ask(client, account.address))
    )
    assert status == 200
    token: str = session["token"]
    return token


async def verify(client: Client, signed: dict[str, str]) -> tuple[int, str]:
    """Status and kind of problem."""
    status, answer, _ = await client.call("POST", "/auth/verify", json=signed)
    return status, answer.get("type", "")


async def is_in(client: Client, token: str) -> bool:
    return (await client.call("GET", "/auth/me", token=token))[0] == 200


async def test_who_signs_the_message_is_signed_in(client: Client) -> None:
    wallet = Account.create()
    signed = {**sign(wallet, await ask(client, wallet.address.lower())), "public_key": KEY}
    status, session, _ = await client.call("POST", "/auth/verify", json=signed)
    assert (status, session["wallet"]) == (200, wallet.address)
    me = await client.call("GET", "/auth/me", token=session["token"])
    assert me[:2] == (200, {"wallet": wallet.address, "is_operator": False})


async def test_the_message_is_of_the_standards_form(client: Client) -> None:
    wallet = Account.create().address
    message = await ask(client, wallet, chain_id=56)
    read = read_message(message)
    assert (read.domain, read.uri, read.chain_id, read.wallet) == ("localhost", "http://localhost:8080", 56, wallet)
    assert message.startswith(f"localhost wants you to sign in with your Ethereum account:\n{wallet}\n\n")
    assert read.expires_at == read.issued_at + timedelta(minutes=5)


async def test_the_session_comes_as_a_cookie_that_no_script_reads(client: Client) -> None:
    wallet = Account.create()
    _, session, headers = await client.call(
        "POST", "/auth/verify", json=sign(wallet, await ask(client, wallet.address))
    )
    cookie = f"entrepot_session={session['token']}; Path=/; HttpOnly; SameSite=Strict; Max-Age={168 * 3600}"
    assert headers.getall("set-cookie") == [cookie]


async def test_over_https_the_cookie_goes_over_https_only(serve: Serve) -> None:
    async with serve(public_url="https://market.example") as client:
        wallet = Account.create()
        _, _, headers = await client.call("POST", "/auth/verify", json=sign(wallet, await ask(client, wallet.address)))
        assert headers["set-cookie"].endswith("; Secure")


async def test_a_nonce_is_good_for_one_of_twenty_who_try_at_once(client: Client) -> None:
    wallet = Account.create()
    signed = sign(wallet, await ask(client, wallet.address))
    answers = await asyncio.gather(*(verify(client, signed) for _ in range(20)))
    assert sorted(answers) == [(200, "")] + [(401, "/problems/nonce-spent")] * 19


async def test_a_failed_try_spends_the_nonce_too(client: Client) -> None:
    wallet = Account.create()
    message = await ask(client, wallet.address)
    assert (await verify(client, sign(Account.create(), message)))[1] == "/problems/not-signed-by"
    assert (await verify(client, sign(wallet, message)))[1] == "/problems/nonce-spent"


async def test_a_nonce_of_another_wallet_is_no_use_and_stays_good_for_its_own(client: Client) -> None:
    wallet, other = Account.create(), Account.create()
    message = await ask(client, wallet.address)
    stolen = message.replace(wallet.address, other.address)
    assert (await verify(client, sign(other, stolen)))[1] == "/problems/nonce-spent"
    assert (await verify(client, sign(wallet, message)))[0] == 200


async def test_an_invented_nonce_is_refused(client: Client) -> None:
    wallet = Account.create()
    message = await ask(client, wallet.address)
    nonce = read_message(message).nonce
    assert (await verify(client, sign(wallet, message.replace(nonce, "a" * 32))))[1] == "/problems/nonce-spent"


async def test_a_nonce_is_good_for_five_minutes(client: Client, owner: asyncpg.Connection) -> None:
    wallet = Account.create()
    message = await ask(client, wallet.address)
    await owner.execute("UPDATE core.sign_in_nonces SET expires_at = now() - interval '1 second'")
    assert await verify(client, sign(wallet, message)) == (401, "/problems/nonce-spent")


@pytest.mark.parametrize(
    ("was", "now"),
    [
        ("localhost wants", "evil.example wants"),
        ("URI: http://localhost:8080", "URI: http://evil.example"),
        ("Issued At: {issued}", "Issued At: {past}"),
        ("Issued At: {issued}", "Issued At: {future}"),
        ("Expiration Time: {expires}", "Expiration Time: {past}"),
        ("Expiration Time: {expires}", "Expiration Time: {expires}\nNot Before: {future}"),
    ],
    ids=["domain", "uri", "issued too long ago", "issued in the future", "expired", "not yet valid"],
)
async def test_a_message_for_another_server_or_another_time_is_refused(client: Client, was: str, now: str) -> None:
    wallet = Account.create()
    message = await ask(client, wallet.address)
    read = read_message(message)
    assert read.expires_at is not None
    moments = {
        "issued": stamp(read.issued_at),
        "expires": stamp(read.expires_at),
        "past": stamp(clock.now() - timedelta(minutes=6)),
        "future": stamp(clock.now() + timedelta(minutes=6)),
    }
    other = message.replace(was.format(**moments), now.format(**moments))
    assert other != message
    assert await verify(client, sign(wallet, other)) == (401, "/problems/wrong-message")


async def test_what_the_host_header_says_is_no_domain(client: Client) -> None:
    wallet = Account.create()
    _, nonce, _ = await client.call(
        "POST", "/auth/nonce", json={"wallet": wallet.address}, headers={"Host": "evil.example"}
    )
    assert nonce["message"].startswith("localhost wants")


@pytest.mark.parametrize(
    "alter",
    [
        lambda text: "",
        lambda text: "sign me in",
        lambda text: text + "\nand more",
        lambda text: "\n" + text,
        lambda text: text.replace("Version: 1", "Version: 2"),
        lambda text: text.replace("Chain ID: 1", "Chain ID: one"),
        lambda text: text.replace("Issued At: ", "Issued At: yesterday "),
        lambda text: text.replace(text.split("Issued At: ")[1].split("\n")[0], "1700000000"),
        lambda text: text.replace("\n\nURI", "\nURI"),
        lambda text: text.replace(text.split("\n")[1], text.split("\n")[1].swapcase().replace("0X", "0x")),
        lambda text: text.replace("Z\n", "\n", 1),
        lambda text: text + " " * 5000,
    ],
)
async def test_what_is_no_sign_in_message_is_malformed(client: Client, alter: Any) -> None:
    wallet = Account.create()
    signed = sign(wallet, alter(await ask(client, wallet.address)))
    status, answer, _ = await client.call("POST", "/auth/verify", json=signed)
    assert (status, answer["field"]) == (422, "message")


@given(st.text(max_size=300))
def test_no_text_breaks_the_reading_of_messages(text: str) -> None:
    with pytest.raises(Malformed):
        read_message(text)


@given(st.one_of(st.binary(min_size=65, max_size=65), st.binary(max_size=80)), st.text(max_size=50))
def test_no_signature_breaks_the_recovery(signature: bytes, text: str) -> None:
    found = recovered(text, "0x" + signature.hex())
    assert found is None or len(found) == 42


@pytest.mark.parametrize("signature", ["", "0x", "0x1", "0xgg", "1234", "0x" + "ab" * 5000, "0x" + "00" * 65 + "\n"])
async def test_what_is_no_signature_is_refused(client: Client, signature: str) -> None:
    wallet = Account.create()
    signed = {"message": await ask(client, wallet.address), "signature": signature}
    assert (await verify(client, signed))[0] in (401, 422)


async def test_a_session_is_kept_as_a_hash_only(client: Client, owner: asyncpg.Connection) -> None:
    wallet = Account.create()
    token = await sign_in(client, wallet)
    kept = await owner.fetchrow("SELECT * FROM core.sessions WHERE wallet = $1", wallet.address)
    assert kept["token_hash"] == hashlib.sha256(token.encode()).digest()
    for table in ("sessions", "sign_in_nonces", "idempotency_keys"):
        everything = await owner.fetchval(f"SELECT coalesce(json_agg(t)::text, '') FROM core.{table} t")
        assert token not in everything
    assert timedelta(hours=167) < kept["expires_at"] - clock.now() <= timedelta(hours=168)


async def test_a_session_ends_when_its_time_is_over(client: Client, owner: asyncpg.Connection) -> None:
    token = await sign_in(client, Account.create())
    assert await is_in(client, token)
    await owner.execute("UPDATE core.sessions SET expires_at = now()")
    assert not await is_in(client, token)


async def test_signing_out_ends_this_session_and_no_other(client: Client) -> None:
    wallet = Account.create()
    first, second = await sign_in(client, wallet), await sign_in(client, wallet)
    status, _, headers = await client.call("POST", "/auth/logout", token=first)
    assert status == 204
    assert headers["set-cookie"] == "entrepot_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    assert not await is_in(client, first)
    assert await is_in(client, second)
    assert (await client.call("POST", "/auth/logout", token=first))[0] == 401


async def test_an_operator_is_told_so(serve: Serve) -> None:
    wallet = Account.create()
    async with serve(operators=(wallet.address,)) as client:
        _, me, _ = await client.call("GET", "/auth/me", token=await sign_in(client, wallet))
        assert me == {"wallet": wallet.address, "is_operator": True}
        _, me, _ = await client.call("GET", "/auth/me", token=await sign_in(client, Account.create()))
        assert me["is_operator"] is False


async def test_what_an_app_does_at_a_sign_in_is_in_its_transaction(client: Client, owner: asyncpg.Connection) -> None:
    wallet = Account.create()
    count = "SELECT count FROM tally.tallies WHERE name = $1"
    for _ in range(2):
        await sign_in(client, wallet)
    assert await owner.fetchval(count, wallet.address) == 2
    await owner.execute("INSERT INTO tally.tallies VALUES ($1, 1)", f"banned {wallet.address}")
    assert await verify(client, sign(wallet, await ask(client, wallet.address))) == (403, "/problems/banned")
    assert await owner.fetchval(count, wallet.address) == 2
    assert await owner.fetchval("SELECT count(*) FROM core.sessions WHERE wallet = $1", wallet.address) == 2


async def test_what_has_expired_is_swept_away(client: Client, owner: asyncpg.Connection) -> None:
    old, new = await sign_in(client, Account.create()), await sign_in(client, Account.create())
    await ask(client, Account.create().address)
    await owner.execute(
        "UPDATE core.sessions SET expires_at = now() - interval '1 second' WHERE token_hash = $1",
        hashlib.sha256(old.encode()).digest(),
    )
    await owner.execute("UPDATE core.sign_in_nonces SET expires_at = now() - interval '1 second'")
    await ask(client, Account.create().address)
    sessions = await owner.fetchval("SELECT count(*) FROM core.sessions")
    async with client.house.database.write() as db:
        await purge_sign_ins(db)
    assert await owner.fetchval("SELECT count(*) FROM core.sessions") == sessions - 1
    assert await owner.fetchval("SELECT count(*) FROM core.sign_in_nonces") == 1
    assert await is_in(client, new)


@pytest.fixture
async def node() -> AsyncIterator[Anvil]:
    async with anvil() as made:
        yield made


def chain(*endpoints: str) -> dict[str, Any]:
    return {"chains": (ChainSettings(name="local", chain_id=31337, endpoints=endpoints),)}


async def contract_wallet(node: Anvil, owner: LocalAccount) -> str:
    """A contract on the chain that answers for its owner's signatures."""
    code = json.loads(CONTRACT.read_text())["bytecode"] + owner.address[2:].rjust(64, "0")
    deal = {"from": node.accounts[0].address, "data": code, "gas": "0x4c4b40"}
    tx_hash = await node.rpc.call("eth_sendTransaction", [deal], type=str)
    async with asyncio.timeout(10):
        while (receipt := await node.rpc.receipt(tx_hash)) is None:
            await asyncio.sleep(0.01)
    assert receipt.succeeded
    assert receipt.contract is not None
    return receipt.contract


async def test_a_contract_wallet_signs_in_by_its_own_word(serve: Serve, node: Anvil) -> None:
    owner = Account.create()
    wallet = await contract_wallet(node, owner)
    async with serve(**chain(node.url)) as client:
        status, session, _ = await client.call(
            "POST", "/auth/verify", json=sign(owner, await ask(client, wallet, chain_id=31337))
        )
        assert (status, session["wallet"].lower()) == (200, wallet.lower())
        for wrong in (
            sign(Account.create(), await ask(client, wallet, chain_id=31337)),
            {**sign(owner, await ask(client, wallet, chain_id=31337)), "signature": "0x1234"},
            sign(owner, await ask(client, wallet, chain_id=1)),
            sign(owner, await ask(client, node.accounts[1].address, chain_id=31337)),
        ):
            assert await verify(client, wrong) == (401, "/problems/not-signed-by")


async def test_a_plain_account_needs_no_chain(serve: Serve) -> None:
    async with serve(**chain(NOBODY)) as client:
        wallet = Account.create()
        message = await ask(client, wallet.address, chain_id=31337)
        assert (await verify(client, sign(wallet, message)))[0] == 200


async def test_a_contract_wallet_is_told_that_its_chain_is_away(serve: Serve) -> None:
    async with serve(**chain(NOBODY)) as client:
        owner, wallet = Account.create(), Account.create().address
        status, answer, _ = await client.call(
            "POST", "/auth/verify", json=sign(owner, await ask(client, wallet, chain_id=31337))
        )
        assert (status, answer["type"], answer["part"]) == (503, "/problems/unavailable", "chain")
