"""What a buyer does before an order: its preparation. The row itself is made by the contract's event only."""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from entrepot.apps.escrow import transactions
from entrepot.apps.escrow.calls.orders import PreparedOrder, PrepareOrder
from entrepot.apps.escrow.model import ProductStatus
from entrepot.apps.escrow.operations.members import trader
from entrepot.apps.escrow.payouts import share
from entrepot.apps.escrow.refusals import NewSellerAmount, NewSellerOrders, NoSuchProduct, OutOfStock, OwnProduct
from entrepot.apps.escrow.store import blacklist, products, profiles, reservations
from entrepot.apps.escrow.store.products import Offer
from entrepot.kernel import clock
from entrepot.kernel.chain import registry
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Write
from entrepot.kernel.money import Amount, to_units
from entrepot.kernel.refusal import Malformed, WrongState
from entrepot.kernel.values import new_id
from entrepot.kernel.wallet import Wallet

RESERVED_FOR = timedelta(minutes=15)
NEW_FOR = timedelta(days=7)
NEW_SELLER_ORDERS = 3
NEW_SELLER_AMOUNT = Decimal(50)


@dataclass(frozen=True)
class OrderTerms:
    """Where an order would be made, and what it costs beside the price."""

    chain_id: int
    escrow: Wallet
    token: Wallet
    decimals: int
    fee_bps: int


async def read_terms(database: Database, ask: PrepareOrder, chains: Chains) -> OrderTerms:
    """The contract's own terms, asked before the transaction: a chain may take its time, and locks must not wait."""
    chain = chains.named(ask.chain)
    async with database.read() as db:
        escrow = await registry.require(db, ask.chain, "P2PEscrow", "chain")
        token = await registry.require(db, ask.chain, ask.token, "token")
    if token.decimals is None:
        raise Malformed("token", f"{ask.token} is no token on {ask.chain} in this market")
    fee_bps = await transactions.fee_bps(chain.rpc, escrow.address)
    return OrderTerms(chain.id, escrow.address, token.address, token.decimals, fee_bps)


async def prepare_order(db: Write, ask: PrepareOrder, terms: OrderTerms) -> PreparedOrder:
    """Keep one unit for fifteen minutes and make the transactions that buy it.

    Nothing is bought until your wallet has sent both, the approval first. Whoever asks again while nothing is free
    gets the unit that is kept for him already, with a new reference and new fifteen minutes.
    """
    await blacklist.share(db)
    await trader(db, ask.by)
    offer = await products.lock_offer(db, ask.product_id)
    if offer is None:
        raise NoSuchProduct
    if offer.seller_wallet == ask.by:
        raise OwnProduct
    if offer.status is not ProductStatus.ACTIVE:
        raise WrongState(state=offer.status, event="order", expected=ProductStatus.ACTIVE)
    await _take_unit(db, ask, offer)
    await _check_new_seller(db, offer)
    fee = share(offer.price_usdt, terms.fee_bps)
    order = new_id()
    ends = await reservations.add(db, order, ask, offer.price_usdt, fee, RESERVED_FOR)
    total = Amount(offer.price_usdt + fee)
    amount_units, total_units = to_units(offer.price_usdt, terms.decimals), to_units(total, terms.decimals)
    return PreparedOrder(
        id=order,
        expires_at=ends,
        amount=offer.price_usdt,
        platform_fee=fee,
        total=total,
        chain_id=terms.chain_id,
        approval=transactions.approval(terms.chain_id, terms.token, terms.escrow, total_units),
        transaction=transactions.creation(
            terms.chain_id, terms.escrow, offer.seller_wallet, terms.token, amount_units, offer.product_hash, order
        ),
    )


async def _take_unit(db: Write, ask: PrepareOrder, offer: Offer) -> None:
    """Makes sure that one unit is free; the listing's row is locked, so nobody else counts meanwhile."""
    reserved = await reservations.of_product(db, offer.id, ask.by)
    if reserved.number < offer.stock:
        return
    if reserved.own is None or reserved.number > offer.stock:
        raise OutOfStock(offer.stock, reserved.number)
    await reservations.end(db, reserved.own)


async def _check_new_seller(db: Write, offer: Offer) -> None:
    """The limits of a seller's first week, over all listings and all chains."""
    if clock.now() - offer.seller_since >= NEW_FOR:
        return
    if offer.price_usdt > NEW_SELLER_AMOUNT:
        raise NewSellerAmount(most=f"{NEW_SELLER_AMOUNT} USDT", amount=f"{offer.price_usdt} USDT")
    await profiles.lock_member(db, offer.seller_wallet)
    if await reservations.of_seller(db, offer.seller_wallet) >= NEW_SELLER_ORDERS:
        raise NewSellerOrders(NEW_SELLER_ORDERS)
