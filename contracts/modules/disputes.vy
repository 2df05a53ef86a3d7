# Disputes: how an arbitrator is drawn, what it may rule, and what happens when nobody rules.
# pragma version 0.4.3

from ..interfaces import ArbitratorPool
from . import book

uses: book

event DisputeOpened:
    orderId: indexed(uint256)
    by: indexed(address)
    drawBlock: uint256
    deadline: uint256

event DrawPostponed:
    orderId: indexed(uint256)
    missed: indexed(address)
    drawBlock: uint256

event ArbitratorDrawn:
    orderId: indexed(uint256)
    arbitrator: indexed(address)
    deadline: uint256
    defaultDeadline: uint256

event EvidenceSubmitted:
    orderId: indexed(uint256)
    by: indexed(address)
    cid: String[100]

event DisputeResolved:
    orderId: indexed(uint256)
    arbitrator: indexed(address)
    favorBuyer: bool
    automatic: bool
    buyerPayout: uint256
    sellerPayout: uint256
    arbitratorPayout: uint256
    treasuryPayout: uint256

RULING_TIMEOUT: public(constant(uint256)) = 7 * 24 * 3600
# Time after a missed ruling in which another arbitrator may be drawn.
REDRAW_WINDOW: public(constant(uint256)) = 24 * 3600
MAX_DRAWS: public(constant(uint8)) = 3
# Blocks between the act that calls for a draw and the block whose hash decides it.
DRAW_DELAY: public(constant(uint256)) = 5
# Blocks whose hashes the chain still knows.
HASH_MEMORY: constant(uint256) = 256
# Gas that a notice to the pool may use, and what must remain in front of the call so that it can have as much.
NOTICE_GAS: public(constant(uint256)) = 300_000
NOTICE_RESERVE: constant(uint256) = NOTICE_GAS * 64 // 63 + 20_000

# Where arbitrators come from; the zero address means that every dispute ends by the default ruling.
pool: public(immutable(address))
# order id -> arbitrator -> whether that arbitrator has let its deadline for this order pass
hasMissed: public(HashMap[uint256, HashMap[address, bool]])


@deploy
def __init__(_pool: address):
    pool = _pool


@external
@nonreentrant
def openDispute(orderId: uint256):
    """
    @notice Stops the buyer's timer and calls for an arbitrator. Either party, before releaseDeadline.
    @dev An arbitrator can be drawn once drawBlock is past, until defaultDeadline. Errors: "wrong status", "not a
         party", "too late".
    """
    book._expect(orderId, book.SELLER_CONFIRMED)
    book._only_party(orderId)
    book._before(book.orders[orderId].releaseDeadline)
    drawBlock: uint256 = block.number + DRAW_DELAY
    deadline: uint256 = block.timestamp + RULING_TIMEOUT
    book.orders[orderId].status = book.DISPUTED
    book.orders[orderId].drawBlock = drawBlock
    book.orders[orderId].defaultDeadline = deadline
    log DisputeOpened(orderId=orderId, by=msg.sender, drawBlock=drawBlock, deadline=deadline)


@external
@nonreentrant
def drawArbitrator(orderId: uint256):
    """
    @notice Moves the search for an arbitrator on by one step. Anyone may call, before defaultDeadline.
    @dev With an arbitrator that missed its rulingDeadline: tells the pool, and sets the block that decides the next
         draw. Without one, once drawBlock is past: lets the pool draw by that block's hash. A new block is set, too,
         when the chain no longer knows the hash and when nobody was eligible. Errors: "wrong status", "too late", "no
         pool", "too early", "bad arbitrator" (a party, or one that missed before), "gas too low".
    """
    book._expect(orderId, book.DISPUTED)
    book._before(book.orders[orderId].defaultDeadline)
    assert pool != empty(address), "no pool"
    arbitrator: address = book.orders[orderId].arbitrator
    if arbitrator != empty(address):
        book._from(book.orders[orderId].rulingDeadline)
        book.orders[orderId].arbitrator = empty(address)
        self.hasMissed[orderId][arbitrator] = True
        self._postpone(orderId, arbitrator)
        self._tell_missed(orderId, arbitrator)
        return
    drawBlock: uint256 = book.orders[orderId].drawBlock
    assert block.number > drawBlock, "too early"
    drawn: address = empty(address)
    if block.number - drawBlock <= HASH_MEMORY:
        drawn = self._draw(orderId, drawBlock)
    if drawn == empty(address):
        self._postpone(orderId, empty(address))
    else:
        self._assign(orderId, drawn)


@external
@nonreentrant
def submitEvidence(orderId: uint256, cid: String[100]):
    """
    @notice Puts the content address of encrypted evidence on record. Either party, before defaultDeadline.
    @dev Errors: "wrong status", "not a party", "too late", "no evidence".
    """
    book._expect(orderId, book.DISPUTED)
    book._only_party(orderId)
    book._before(book.orders[orderId].defaultDeadline)
    assert len(cid) != 0, "no evidence"
    log EvidenceSubmitted(orderId=orderId, by=msg.sender, cid=cid)


@external
@nonreentrant
def resolveDispute(orderId: uint256, favorBuyer: bool):
    """
    @notice Rules. The arbitrator drawn for the order only, before rulingDeadline; earns arbitrationFee.
    @dev For the buyer: amount + platform fee - arbitrationFee to the buyer. For the seller: amount - arbitrationFee to
         the seller, the platform fee to the treasury. Errors: "wrong status", "not the arbitrator", "too late", "gas
         too low".
    """
    book._expect(orderId, book.DISPUTED)
    order: book.Order = book.orders[orderId]
    assert msg.sender == order.arbitrator, "not the arbitrator"
    book._before(order.rulingDeadline)
    payout: book.Payout = book.Payout(
        buyer=order.amount + order.fee - order.arbitrationFee, seller=0, arbitrator=order.arbitrationFee, treasury=0
    )
    if not favorBuyer:
        payout.buyer = 0
        payout.seller = order.amount - order.arbitrationFee
        payout.treasury = order.fee
    self._resolve(orderId, order.arbitrator, favorBuyer, payout)
    self._tell_ruled(orderId, order.arbitrator)


@external
@nonreentrant
def autoResolveDispute(orderId: uint256):
    """
    @notice Refunds amount and platform fee to the buyer, since nobody has ruled. Anyone may call, from
            defaultDeadline on.
    @dev Nobody earns an arbitration fee; an arbitrator that let its deadline pass is told on to the pool. Errors:
         "wrong status", "too early", "gas too low".
    """
    book._expect(orderId, book.DISPUTED)
    order: book.Order = book.orders[orderId]
    book._from(order.defaultDeadline)
    payout: book.Payout = book.Payout(buyer=order.amount + order.fee, seller=0, arbitrator=0, treasury=0)
    self._resolve(orderId, empty(address), True, payout)
    if order.arbitrator != empty(address):
        self._tell_missed(orderId, order.arbitrator)


@internal
def _resolve(orderId: uint256, arbitrator: address, favorBuyer: bool, payout: book.Payout):
    """
    @dev `arbitrator` is who ruled; zero for the default ruling.
    """
    status: uint8 = book.RESOLVED_SELLER
    if favorBuyer:
        status = book.RESOLVED_BUYER
    book._end(orderId, status, payout)
    log DisputeResolved(
        orderId=orderId, arbitrator=arbitrator, favorBuyer=favorBuyer, automatic=arbitrator == empty(address),
        buyerPayout=payout.buyer, sellerPayout=payout.seller,
        arbitratorPayout=payout.arbitrator, treasuryPayout=payout.treasury,
    )


@internal
def _draw(orderId: uint256, drawBlock: uint256) -> address:
    buyer: address = book.orders[orderId].buyer
    seller: address = book.orders[orderId].seller
    seed: bytes32 = keccak256(abi_encode(blockhash(drawBlock), self, orderId))
    drawn: address = extcall ArbitratorPool(pool).draw(orderId, buyer, seller, drawBlock - DRAW_DELAY, seed)
    assert drawn not in [buyer, seller], "bad arbitrator"
    assert not self.hasMissed[orderId][drawn], "bad arbitrator"
    return drawn


@internal
def _assign(orderId: uint256, arbitrator: address):
    """
    @dev After the last draw that an order may have there is no time to draw again.
    """
    draws: uint8 = book.orders[orderId].draws + 1
    deadline: uint256 = block.timestamp + RULING_TIMEOUT
    defaultDeadline: uint256 = deadline
    if draws < MAX_DRAWS:
        defaultDeadline += REDRAW_WINDOW
    book.orders[orderId].arbitrator = arbitrator
    book.orders[orderId].draws = draws
    book.orders[orderId].rulingDeadline = deadline
    book.orders[orderId].defaultDeadline = defaultDeadline
    log ArbitratorDrawn(
        orderId=orderId, arbitrator=arbitrator, deadline=deadline, defaultDeadline=defaultDeadline
    )


@internal
def _postpone(orderId: uint256, missed: address):
    """
    @dev The next draw is decided by a block that nobody knows yet. `missed` is who let its deadline pass, or zero.
    """
    drawBlock: uint256 = block.number + DRAW_DELAY
    book.orders[orderId].drawBlock = drawBlock
    log DrawPostponed(orderId=orderId, missed=missed, drawBlock=drawBlock)


@internal
def _tell_ruled(orderId: uint256, arbitrator: address):
    self._tell(abi_encode(orderId, arbitrator, method_id=method_id("ruled(uint256,address)")))


@internal
def _tell_missed(orderId: uint256, arbitrator: address):
    self._tell(abi_encode(orderId, arbitrator, method_id=method_id("missed(uint256,address)")))


@internal
def _tell(notice: Bytes[68]):
    """
    @dev The pool's failure must not hold up anyone's money, and no caller may bring that failure about by sending too
         little gas: so the call may fail, but never for want of gas.
    """
    assert msg.gas >= NOTICE_RESERVE, "gas too low"
    success: bool = raw_call(pool, notice, gas=NOTICE_GAS, revert_on_failure=False)
