"""What a client does not believe: transactions that nobody asked for, messages of other sites, forged deliveries."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from eth_account import Account

from entrepot.apps.escrow import transactions
from entrepot.apps.escrow.calls.orders import PreparedOrder
from entrepot.apps.escrow.calls.products import ProductDetail
from entrepot.apps.escrow.calls.profiles import EditProfile, Profile
from entrepot.client import Client, Token, WrongDelivery, WrongTransaction
from entrepot.client.boxes import Boxes, seal
from entrepot.client.transport import asked
from entrepot.kernel.money import Amount
from entrepot.kernel.wallet import Wallet
from tests.journeys.conftest import FEE, NOTHING, PRICE, Deal, Stage, lists

THIEF = Wallet("0x" + "11" * 20)
AMOUNT, TOTAL = 24_900_000, 25_398_000
FIRST_KEY = "fSXHBgtOfiaRWsVQ3rf+3/DkSXvF9CfzXiB7urv5fCY="
"""Of the private key 0x0101...: a change of it would lock everybody out of what was sealed for them."""


def forged(prepared: PreparedOrder, product: ProductDetail) -> dict[str, PreparedOrder]:
    """The same purchase, each time with one thing that is not as it should be."""
    chain, token, escrow = prepared.chain_id, prepared.approval.to, prepared.transaction.to

    def order(seller: Wallet, units: int) -> Any:
        return transactions.creation(chain, escrow, seller, token, units, product.product_hash, prepared.id)

    changed: dict[str, dict[str, Any]] = {
        "approves more": {"approval": transactions.approval(chain, token, escrow, 10**12)},
        "approves another": {"approval": transactions.approval(chain, token, THIEF, TOTAL)},
        "pays another": {"transaction": order(THIEF, AMOUNT)},
        "pays more": {"transaction": order(product.seller_wallet, AMOUNT + 1)},
        "is another call": {"transaction": transactions.call(chain, token, b"\xa9\x05\x9c\xbb" + bytes(64))},
        "costs more": {"amount": Amount(PRICE + 1), "total": Amount(PRICE + 1 + FEE)},
        "hides its fee": {"total": Amount(PRICE)},
    }
    return {why: msgspec.structs.replace(prepared, **parts) for why, parts in changed.items()}


async def test_a_purchase_that_is_not_of_the_listing_is_not_signed(stage: Stage) -> None:
    seller, buyer = await stage.comes(), await stage.comes()
    product = await buyer.products.get((await lists(seller)).id)
    prepared = await buyer.prepare_order(product.id, stage.chain, Token.USDT)
    await buyer.purse.check_purchase(stage.chain, prepared, product)
    signed = []
    for why, wrong in forged(prepared, product).items():
        with suppress(WrongTransaction):
            await buyer.purse.check_purchase(stage.chain, wrong, product)
            signed.append(why)
    assert signed == []
    with pytest.raises(WrongTransaction, match="more than 25"):
        await buyer.buy(product.id, stage.chain, Token.USDT, most=Decimal("25.10"))
    wary = await stage.comes(escrow=THIEF)
    with pytest.raises(WrongTransaction, match="is not the escrow contract"):
        await wary.buy(product.id, stage.chain, Token.USDT)
    assert await stage.money(buyer, seller) == NOTHING


async def test_an_act_on_another_order_is_not_signed(deal: Deal) -> None:
    buyer, stage = deal.buyer, deal.stage
    other = await buyer.buy(deal.order.product_id, stage.chain, Token.USDT)
    wrong = transactions.act(31_337, Wallet(stage.bazaar.escrow), "cancelOrder", deal.order.onchain_order_id)
    with pytest.raises(WrongTransaction, match="it is not cancelOrder of order 2"):
        await buyer.purse.checked_act(other, wrong, "cancelOrder")
    elsewhere = msgspec.structs.replace(other, tx_hash_create=deal.order.tx_hash_create)
    with pytest.raises(WrongTransaction, match="did not make order 2"):
        await buyer.purse.act(elsewhere, "cancelOrder")


async def test_a_delivery_that_the_contract_does_not_know_is_not_opened(deal: Deal) -> None:
    await deal.seller.deliver(deal.order.id, b"the key")
    forgery = seal(b"another key", deal.buyer.boxes.public_key)
    await deal.stage.owner.execute("UPDATE escrow.orders SET product_key_encrypted = $1", forgery)
    with pytest.raises(WrongDelivery, match="not what the seller confirmed"):
        await deal.buyer.open_delivery(deal.order.id)


async def test_what_is_sealed_to_a_key_from_elsewhere_stays_closed_until_the_own_one_is_back(
    deal: Deal,
) -> None:
    buyer, seller, order = deal.buyer, deal.seller, deal.order.id
    other = asked(EditProfile, by=buyer.wallet, public_key=Boxes(Account.create()).public_key)
    await buyer.transport.command("PATCH", "/escrow/profile", other, Profile)
    await seller.messages.send(deal.order, "Hello?")
    await seller.deliver(order, b"the key")
    with pytest.raises(WrongDelivery, match="not sealed to this wallet"):
        await buyer.open_delivery(order)
    assert (await buyer.edit_profile(own_key=True)).public_key == buyer.boxes.public_key
    await seller.messages.send(deal.order, "Hello again.")
    assert [letter.text async for letter in buyer.messages.read(deal.order)] == ["Hello again.", None]


async def test_a_sign_in_message_of_another_site_is_not_signed(api: str) -> None:
    async with Client(api, Account.create(), domain="elsewhere.example") as client:
        with pytest.raises(WrongTransaction, match="the message to sign is of localhost"):
            await client.sign_in()


def test_a_wallet_has_the_same_keys_wherever_it_signs() -> None:
    keys = [Client("http://localhost", Account.from_key(bytes([n]) * 32)).boxes.public_key for n in (1, 1, 2)]
    assert keys[0] == keys[1] != keys[2]
    assert keys[0] == FIRST_KEY
