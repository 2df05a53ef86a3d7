# The pool of arbitrators: holds their stakes, draws one of them for each dispute, and keeps their reputation.
# pragma version 0.4.3
# pragma evm-version cancun
"""
@title ArbitratorPool
@license Apache-2.0
@notice Whoever stakes 500 tokens or more may be drawn to rule on the escrow's disputes, by chance in proportion to
        stake x reputation. A ruling in time is consistent (+2), a missed deadline is inconsistent (-5 and a tenth of
        the stake, which becomes a credit of the pool's owner): there is no appeal that could judge a ruling otherwise.
@dev Amounts are base units of the stake token, reputation is 0 to 100. An arbitrator is active while its stake is at
     least MIN_TOKENS and its reputation at least MIN_REPUTATION; only active ones are drawn. A wallet that leaves and
     comes back has the reputation it left with. Nobody can steer a draw once its seed can be known: the escrow says in
     which block the draw was called for, weight gained since then does not count, and one arbitrator's coming, going
     or shrinking does not change the order of the others. For that a draw looks at every arbitrator once, and
     MAX_ARBITRATORS bounds its gas: about 3 million for a full pool, in a call that anyone may make and make again.
     Nothing moves a stake but its arbitrator and the escrow's word. Events carry the state after them.
"""

from ethereum.ercs import IERC20Detailed
from interfaces import ArbitratorPool
from modules import ledger
from modules import lots
from modules import roster

implements: ArbitratorPool
initializes: ledger
initializes: roster

exports: (ledger.credits, ledger.openAmount, roster.MAX_ARBITRATORS, roster.arbitratorAt, roster.size)

interface Escrow:
    def pool() -> address: view

event EscrowSet:
    escrow: indexed(address)

event ArbitratorRegistered:
    arbitrator: indexed(address)
    stake: uint256
    reputation: uint256

event StakeIncreased:
    arbitrator: indexed(address)
    stake: uint256
    active: bool

event ArbitratorWithdrawn:
    arbitrator: indexed(address)
    stake: uint256

event Assigned:
    arbitrator: indexed(address)
    orderId: indexed(uint256)
    assigned: uint256

event ReputationUpdated:
    arbitrator: indexed(address)
    orderId: indexed(uint256)
    reputation: uint256
    active: bool
    stake: uint256
    assigned: uint256
    resolved: uint256
    consistent: bool

struct Arbitrator:
    stake: uint256
    reputation: uint256
    active: bool
    assigned: uint256
    registeredBlock: uint256
    resolved: uint256

struct Record:
    stake: uint256
    reputation: uint256
    assigned: uint256
    registeredBlock: uint256
    resolved: uint256
    # Block of the latest gain in weight, and the weight before all gains that a draw may still have to leave out.
    gainedBlock: uint256
    weightBefore: uint256

MIN_TOKENS: public(constant(uint256)) = 500
# Most that one arbitrator may stake, in whole tokens: fits numeric(18,6).
MAX_TOKENS: public(constant(uint256)) = 10 ** 11
STAKE_DECIMALS: constant(uint8) = 6
FIRST_REPUTATION: public(constant(uint256)) = 50
MAX_REPUTATION: public(constant(uint256)) = 100
MIN_REPUTATION: public(constant(uint256)) = 10
GAIN: constant(uint256) = 2
LOSS: constant(uint256) = 5
# What a missed deadline costs, in hundredths of a percent of the stake.
FORFEIT_BPS: public(constant(uint256)) = 1_000
BPS: constant(uint256) = 10_000
# Blocks after which no draw that was called for is still open: the escrow's DRAW_DELAY and HASH_MEMORY.
DRAW_MEMORY: constant(uint256) = 5 + 256

# Who deployed the pool: names the escrow, once, and is credited what arbitrators forfeit.
owner: public(immutable(address))
stakeToken: public(immutable(address))
# Base units in a millionth of a token.
scale: immutable(uint256)

escrow: public(address)
# order id -> who is to rule on it; zero when nobody is
arbitratorOf: public(HashMap[uint256, address])
# order id -> arbitrator -> whether that arbitrator has let its deadline for this order pass
hasMissed: public(HashMap[uint256, HashMap[address, bool]])
records: HashMap[address, Record]


@deploy
def __init__(_stakeToken: address):
    """
    @param _stakeToken The one token of all stakes, with 6 to 18 decimals.
    """
    assert _stakeToken.is_contract, "no token"
    decimals: uint8 = staticcall IERC20Detailed(_stakeToken).decimals()
    assert decimals >= STAKE_DECIMALS and decimals <= 18, "bad decimals"
    owner = msg.sender
    stakeToken = _stakeToken
    scale = 10 ** convert(decimals - STAKE_DECIMALS, uint256)


@external
@nonreentrant
def setEscrow(escrow: address):
    """
    @notice Names the escrow that this pool serves, once and for ever. Owner only.
    @dev Errors: "not the owner", "escrow is set", "not its pool" (the escrow must have been made for this pool).
    """
    assert msg.sender == owner, "not the owner"
    assert self.escrow == empty(address), "escrow is set"
    assert staticcall Escrow(escrow).pool() == self, "not its pool"
    self.escrow = escrow
    log EscrowSet(escrow=escrow)


@external
@nonreentrant
def register(amount: uint256):
    """
    @notice Joins the pool with a stake of `amount`, which the caller must have approved. Anyone may call.
    @dev Errors: "no escrow", "already registered", "reputation too low" (the caller left with less than
         MIN_REPUTATION), "pool is full", "stake too small", "stake too large", "stake too fine" (more than 6 decimals),
         "transfer refused", "transfer not exact".
    """
    assert self.escrow != empty(address), "no escrow"
    roster._add(msg.sender)
    assert amount >= self._min_stake(), "stake too small"
    reputation: uint256 = FIRST_REPUTATION
    if self.records[msg.sender].registeredBlock != 0:
        reputation = self.records[msg.sender].reputation
    assert reputation >= MIN_REPUTATION, "reputation too low"
    self.records[msg.sender].reputation = reputation
    self.records[msg.sender].registeredBlock = block.number
    self.records[msg.sender].gainedBlock = block.number
    self.records[msg.sender].weightBefore = 0
    self._stake(amount)
    log ArbitratorRegistered(arbitrator=msg.sender, stake=amount, reputation=reputation)
    ledger._lock(stakeToken, msg.sender, amount)


@external
@nonreentrant
def increaseStake(amount: uint256):
    """
    @notice Adds `amount`, which the caller must have approved, to its stake; makes it active again when only the stake
            was wanting. Registered arbitrators only.
    @dev Errors: "not registered", "nothing to stake", "stake too large", "stake too fine", "transfer refused",
         "transfer not exact".
    """
    assert roster._has(msg.sender), "not registered"
    assert amount != 0, "nothing to stake"
    self._remember_weight(msg.sender)
    self._stake(amount)
    log StakeIncreased(
        arbitrator=msg.sender, stake=self.records[msg.sender].stake, active=self._is_active(msg.sender)
    )
    ledger._lock(stakeToken, msg.sender, amount)


@external
@nonreentrant
def withdraw():
    """
    @notice Leaves the pool and pays the whole stake to the caller, an arbitrator whom no open dispute waits for.
    @dev Errors: "not registered", "assigned", "transfer refused", "transfer not exact".
    """
    assert roster._has(msg.sender), "not registered"
    assert self.records[msg.sender].assigned == 0, "assigned"
    stake: uint256 = self.records[msg.sender].stake
    self.records[msg.sender].stake = 0
    roster._remove(msg.sender)
    log ArbitratorWithdrawn(arbitrator=msg.sender, stake=stake)
    ledger._unlock(stakeToken, stake)
    ledger._credit(stakeToken, msg.sender, stake)
    ledger._pay(stakeToken, msg.sender)


@external
@nonreentrant
def collect(to: address):
    """
    @notice Pays everything that the caller is credited, which is what arbitrators forfeited to the owner, to `to`.
    @dev Errors: "bad receiver" (zero or the pool), "nothing to withdraw", "transfer refused", "transfer not exact".
    """
    ledger._pay(stakeToken, to)


@external
@nonreentrant
def draw(orderId: uint256, buyer: address, seller: address, calledBlock: uint256, seed: bytes32) -> address:
    """
    @notice Draws an active arbitrator in proportion to stake x reputation, and marks it as assigned. Escrow only. The
            zero address says that nobody is eligible.
    @dev Leaves out the parties and whoever missed this order's deadline before. Errors: "not the escrow", "already
         assigned".
    @param calledBlock Block in which the draw was called for; weight gained in it or later does not count.
    @param seed What decides the draw.
    """
    self._only_escrow()
    assert self.arbitratorOf[orderId] == empty(address), "already assigned"
    drawn: address = self._first(orderId, buyer, seller, calledBlock, seed)
    if drawn != empty(address):
        assigned: uint256 = self.records[drawn].assigned + 1
        self.records[drawn].assigned = assigned
        self.arbitratorOf[orderId] = drawn
        log Assigned(arbitrator=drawn, orderId=orderId, assigned=assigned)
    return drawn


@external
@nonreentrant
def ruled(orderId: uint256, arbitrator: address):
    """
    @notice Frees an arbitrator that has ruled in time, and raises its reputation. Escrow only.
    @dev Errors: "not the escrow", "not assigned".
    """
    self._release(orderId, arbitrator)
    self._remember_weight(arbitrator)
    self.records[arbitrator].resolved += 1
    self.records[arbitrator].reputation = min(self.records[arbitrator].reputation + GAIN, MAX_REPUTATION)
    self._log_reputation(orderId, arbitrator, True)


@external
@nonreentrant
def missed(orderId: uint256, arbitrator: address):
    """
    @notice Frees an arbitrator that has let its deadline pass, and takes reputation and a share of its stake, rounded
            down to a millionth of a token, from it. Escrow only.
    @dev Errors: "not the escrow", "not assigned".
    """
    self._release(orderId, arbitrator)
    self.hasMissed[orderId][arbitrator] = True
    stake: uint256 = self.records[arbitrator].stake
    forfeit: uint256 = stake // scale * FORFEIT_BPS // BPS * scale
    self.records[arbitrator].stake = stake - forfeit
    reputation: uint256 = self.records[arbitrator].reputation
    self.records[arbitrator].reputation = reputation - min(reputation, LOSS)
    ledger._unlock(stakeToken, forfeit)
    ledger._credit(stakeToken, owner, forfeit)
    self._log_reputation(orderId, arbitrator, False)


@external
@view
def getArbitrator(arbitrator: address) -> Arbitrator:
    """
    @notice All that the pool knows of a wallet: registeredBlock is 0 when it never registered, the stake is 0 when it
            is not in the pool.
    """
    record: Record = self.records[arbitrator]
    return Arbitrator(
        stake=record.stake, reputation=record.reputation, active=self._is_active(arbitrator),
        assigned=record.assigned, registeredBlock=record.registeredBlock, resolved=record.resolved,
    )


@internal
@view
def _only_escrow():
    assert msg.sender == self.escrow, "not the escrow"


@internal
@view
def _min_stake() -> uint256:
    return MIN_TOKENS * scale * 10 ** convert(STAKE_DECIMALS, uint256)


@internal
@view
def _is_active(arbitrator: address) -> bool:
    if self.records[arbitrator].stake < self._min_stake():
        return False
    return self.records[arbitrator].reputation >= MIN_REPUTATION


@internal
@view
def _weight(arbitrator: address) -> uint256:
    if not self._is_active(arbitrator):
        return 0
    return self.records[arbitrator].stake // scale * self.records[arbitrator].reputation


@internal
@view
def _weight_since(arbitrator: address, calledBlock: uint256) -> uint256:
    """
    @dev The weight of today without what was gained in `calledBlock` or later.
    """
    weight: uint256 = self._weight(arbitrator)
    if self.records[arbitrator].gainedBlock < calledBlock:
        return weight
    return min(weight, self.records[arbitrator].weightBefore)


@internal
def _remember_weight(arbitrator: address):
    """
    @dev To be called before a gain. While draws may be open that were called for before the last gain, the least weight
         before either stays remembered: no open draw sees more than the weight that it should.
    """
    weight: uint256 = self._weight(arbitrator)
    if block.number <= self.records[arbitrator].gainedBlock + DRAW_MEMORY:
        weight = min(weight, self.records[arbitrator].weightBefore)
    self.records[arbitrator].weightBefore = weight
    self.records[arbitrator].gainedBlock = block.number


@internal
@view
def _first(orderId: uint256, buyer: address, seller: address, calledBlock: uint256, seed: bytes32) -> address:
    """
    @dev Who has waited least, of those who may rule on the order; zero when nobody may.
    """
    first: address = empty(address)
    firstWait: uint256 = 0
    firstWeight: uint256 = 0
    for arbitrator: address in roster.members:
        weight: uint256 = self._weight_since(arbitrator, calledBlock)
        if weight == 0 or arbitrator in [buyer, seller]:
            continue
        wait: uint256 = lots._wait(seed, arbitrator)
        if first != empty(address) and not lots._sooner(wait, weight, firstWait, firstWeight):
            continue
        if not self.hasMissed[orderId][arbitrator]:
            first = arbitrator
            firstWait = wait
            firstWeight = weight
    return first


@internal
def _stake(amount: uint256):
    """
    @dev Writes down what the caller adds to its stake; the tokens come after the event.
    """
    stake: uint256 = self.records[msg.sender].stake + amount
    assert stake <= MAX_TOKENS * scale * 10 ** convert(STAKE_DECIMALS, uint256), "stake too large"
    assert amount % scale == 0, "stake too fine"
    self.records[msg.sender].stake = stake


@internal
def _release(orderId: uint256, arbitrator: address):
    self._only_escrow()
    assert arbitrator != empty(address) and self.arbitratorOf[orderId] == arbitrator, "not assigned"
    self.arbitratorOf[orderId] = empty(address)
    self.records[arbitrator].assigned -= 1


@internal
def _log_reputation(orderId: uint256, arbitrator: address, consistent: bool):
    record: Record = self.records[arbitrator]
    log ReputationUpdated(
        arbitrator=arbitrator, orderId=orderId, reputation=record.reputation, active=self._is_active(arbitrator),
        stake=record.stake, assigned=record.assigned, resolved=record.resolved, consistent=consistent,
    )
