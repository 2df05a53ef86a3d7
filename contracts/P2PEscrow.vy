# The escrow of the marketplace: holds a buyer's tokens for each order until the seller is paid or the buyer refunded.
# pragma version 0.4.3
# pragma evm-version cancun
"""
@title P2PEscrow
@license Apache-2.0
@notice One order is one trade: created -> seller_confirmed -> completed; created -> cancelled | expired;
        seller_confirmed -> disputed -> resolved_buyer | resolved_seller. Anything else is refused with "wrong status".
@dev Amounts are base units of the order's token, times are block timestamps in seconds. One boundary rule: a party's
     act is legal while block.timestamp < deadline, the act that follows from silence when block.timestamp >= deadline.
     What an order needs to end (fee, fee receiver, arbitration fee, deadlines) is stored with it and nobody can change
     it. Payouts are credits, which their receivers withdraw. Every move emits one event.
"""

from modules import book
from modules import disputes
from modules import ledger
from modules import terms

initializes: ledger
initializes: terms
initializes: book[ledger := ledger]
initializes: disputes[book := book]

exports: (ledger.credits, ledger.openAmount, ledger.withdraw)
exports: (book.getOrder, book.nextOrderId)
exports: (
    disputes.pool,
    disputes.hasMissed,
    disputes.RULING_TIMEOUT,
    disputes.REDRAW_WINDOW,
    disputes.MAX_DRAWS,
    disputes.DRAW_DELAY,
    disputes.NOTICE_GAS,
    disputes.openDispute,
    disputes.drawArbitrator,
    disputes.submitEvidence,
    disputes.resolveDispute,
    disputes.autoResolveDispute,
)
exports: (
    terms.owner,
    terms.treasury,
    terms.feeBps,
    terms.paused,
    terms.isSupported,
    terms.MAX_FEE_BPS,
    terms.MAX_TOKENS,
    terms.setSupportedToken,
    terms.setTreasury,
    terms.setPlatformFee,
    terms.pause,
    terms.unpause,
)

event OrderCreated:
    orderId: indexed(uint256)
    buyer: indexed(address)
    seller: indexed(address)
    token: address
    amount: uint256
    fee: uint256
    productHash: bytes32
    orderRef: bytes32
    sellerDeadline: uint256

event SellerConfirmed:
    orderId: indexed(uint256)
    deliveryHash: bytes32
    releaseDeadline: uint256

event OrderCompleted:
    orderId: indexed(uint256)
    automatic: bool
    sellerPayout: uint256
    treasuryPayout: uint256

event OrderCancelled:
    orderId: indexed(uint256)
    by: indexed(address)
    refund: uint256

event OrderExpired:
    orderId: indexed(uint256)
    refund: uint256

SELLER_TIMEOUT: public(constant(uint256)) = 24 * 3600
BUYER_TIMEOUT: public(constant(uint256)) = 72 * 3600
ARBITRATION_BPS: public(constant(uint256)) = 500


@deploy
def __init__(pool: address, treasury: address, feeBps: uint256):
    """
    @param pool The ArbitratorPool that serves this escrow for ever, or zero for none.
    @param treasury First receiver of platform fees, neither zero nor the escrow.
    @param feeBps First platform fee in hundredths of a percent; 200 is the house's usual one.
    """
    terms.__init__(treasury, feeBps)
    book.__init__()
    disputes.__init__(pool)


@external
@nonreentrant
def createOrder(
    seller: address, token: address, amount: uint256, productHash: bytes32, orderRef: bytes32
) -> uint256:
    """
    @notice Locks amount + platform fee of the caller, the buyer. Anyone may call; approve exactly amount + fee.
    @dev Errors: "paused", "token not allowed", "bad seller" (zero, the caller or the escrow), "amount too small" (under
         one token), "amount too large" (over MAX_TOKENS tokens), "amount too fine" (more than 6 decimals), "transfer
         refused", "transfer not exact".
    @param amount Price in base units of the token, without the platform fee.
    @param orderRef What links the order to a reservation outside the chain; not interpreted.
    @return The order's id; ids count up from 1.
    """
    scale: uint256 = terms._check_amount(token, amount)
    assert seller not in [empty(address), msg.sender, self], "bad seller"
    orderId: uint256 = book.nextOrderId
    book.nextOrderId = orderId + 1
    fee: uint256 = terms._share(amount, terms.feeBps, scale)
    order: book.Order = empty(book.Order)
    order.buyer = msg.sender
    order.seller = seller
    order.token = token
    order.feeReceiver = terms.treasury
    order.status = book.CREATED
    order.amount = amount
    order.fee = fee
    order.arbitrationFee = terms._share(amount, ARBITRATION_BPS, scale)
    order.productHash = productHash
    order.orderRef = orderRef
    order.sellerDeadline = block.timestamp + SELLER_TIMEOUT
    book.orders[orderId] = order
    log OrderCreated(
        orderId=orderId, buyer=msg.sender, seller=seller, token=token, amount=amount, fee=fee,
        productHash=productHash, orderRef=orderRef, sellerDeadline=order.sellerDeadline,
    )
    ledger._lock(token, msg.sender, amount + fee)
    return orderId


@external
@nonreentrant
def sellerConfirmDelivery(orderId: uint256, deliveryHash: bytes32):
    """
    @notice Says that the delivery is made and starts the buyer's 72 hours. Seller only, before sellerDeadline.
    @dev Errors: "wrong status", "not the seller", "too late", "no delivery hash".
    @param deliveryHash Hash of the sealed delivery, not zero.
    """
    book._expect(orderId, book.CREATED)
    assert msg.sender == book.orders[orderId].seller, "not the seller"
    book._before(book.orders[orderId].sellerDeadline)
    assert deliveryHash != empty(bytes32), "no delivery hash"
    releaseDeadline: uint256 = block.timestamp + BUYER_TIMEOUT
    book.orders[orderId].status = book.SELLER_CONFIRMED
    book.orders[orderId].deliveryHash = deliveryHash
    book.orders[orderId].releaseDeadline = releaseDeadline
    log SellerConfirmed(orderId=orderId, deliveryHash=deliveryHash, releaseDeadline=releaseDeadline)


@external
@nonreentrant
def buyerConfirmReceived(orderId: uint256):
    """
    @notice Pays the seller. Buyer only, at any time until someone else has ended the order.
    @dev Errors: "wrong status", "not the buyer".
    """
    book._expect(orderId, book.SELLER_CONFIRMED)
    assert msg.sender == book.orders[orderId].buyer, "not the buyer"
    self._complete(orderId, False)


@external
@nonreentrant
def autoReleaseToSeller(orderId: uint256):
    """
    @notice Pays the seller when the buyer was silent. Anyone may call, from releaseDeadline on.
    @dev Errors: "wrong status", "too early".
    """
    book._expect(orderId, book.SELLER_CONFIRMED)
    book._from(book.orders[orderId].releaseDeadline)
    self._complete(orderId, True)


@external
@nonreentrant
def cancelOrder(orderId: uint256):
    """
    @notice Refunds amount and platform fee. Either party, at any time before the seller confirmed.
    @dev Errors: "wrong status", "not a party".
    """
    book._expect(orderId, book.CREATED)
    book._only_party(orderId)
    refund: uint256 = book._refund(orderId, book.CANCELLED)
    log OrderCancelled(orderId=orderId, by=msg.sender, refund=refund)


@external
@nonreentrant
def autoExpireOrder(orderId: uint256):
    """
    @notice Refunds amount and platform fee when the seller was silent. Anyone may call, from sellerDeadline on.
    @dev Errors: "wrong status", "too early".
    """
    book._expect(orderId, book.CREATED)
    book._from(book.orders[orderId].sellerDeadline)
    refund: uint256 = book._refund(orderId, book.EXPIRED)
    log OrderExpired(orderId=orderId, refund=refund)


@internal
def _complete(orderId: uint256, automatic: bool):
    amount: uint256 = book.orders[orderId].amount
    fee: uint256 = book.orders[orderId].fee
    book._end(orderId, book.COMPLETED, book.Payout(buyer=0, seller=amount, arbitrator=0, treasury=fee))
    log OrderCompleted(orderId=orderId, automatic=automatic, sellerPayout=amount, treasuryPayout=fee)
