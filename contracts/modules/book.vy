# The book of orders: what is stored of each, who may act and when, and how an order ends.
# pragma version 0.4.3

from . import ledger

uses: ledger

struct Order:
    buyer: address
    seller: address
    token: address
    feeReceiver: address
    arbitrator: address
    status: uint8
    draws: uint8
    amount: uint256
    fee: uint256
    arbitrationFee: uint256
    productHash: bytes32
    orderRef: bytes32
    deliveryHash: bytes32
    sellerDeadline: uint256
    releaseDeadline: uint256
    drawBlock: uint256
    rulingDeadline: uint256
    defaultDeadline: uint256

struct Payout:
    buyer: uint256
    seller: uint256
    arbitrator: uint256
    treasury: uint256

# Statuses; 0 is an order that does not exist. The numbers are part of the interface.
CREATED: constant(uint8) = 1
SELLER_CONFIRMED: constant(uint8) = 2
COMPLETED: constant(uint8) = 3
DISPUTED: constant(uint8) = 4
RESOLVED_BUYER: constant(uint8) = 5
RESOLVED_SELLER: constant(uint8) = 6
CANCELLED: constant(uint8) = 7
EXPIRED: constant(uint8) = 8

nextOrderId: public(uint256)
orders: HashMap[uint256, Order]


@deploy
def __init__():
    self.nextOrderId = 1


@external
@view
def getOrder(orderId: uint256) -> Order:
    """
    @notice All that the contract knows of an order; all zero, status 0, when there is no such order.
    """
    return self.orders[orderId]


@internal
@view
def _expect(orderId: uint256, status: uint8):
    assert self.orders[orderId].status == status, "wrong status"


@internal
@view
def _only_party(orderId: uint256):
    assert msg.sender in [self.orders[orderId].buyer, self.orders[orderId].seller], "not a party"


@internal
@view
def _before(deadline: uint256):
    assert block.timestamp < deadline, "too late"


@internal
@view
def _from(deadline: uint256):
    assert block.timestamp >= deadline, "too early"


@internal
def _refund(orderId: uint256, status: uint8) -> uint256:
    refund: uint256 = self.orders[orderId].amount + self.orders[orderId].fee
    self._end(orderId, status, Payout(buyer=refund, seller=0, arbitrator=0, treasury=0))
    return refund


@internal
def _end(orderId: uint256, status: uint8, payout: Payout):
    """
    @dev Turns what the order locked into credits, to the last unit.
    """
    order: Order = self.orders[orderId]
    locked: uint256 = order.amount + order.fee
    assert payout.buyer + payout.seller + payout.arbitrator + payout.treasury == locked, "payout differs"
    self.orders[orderId].status = status
    ledger._unlock(order.token, locked)
    ledger._credit(order.token, order.buyer, payout.buyer)
    ledger._credit(order.token, order.seller, payout.seller)
    ledger._credit(order.token, order.arbitrator, payout.arbitrator)
    ledger._credit(order.token, order.feeReceiver, payout.treasury)
