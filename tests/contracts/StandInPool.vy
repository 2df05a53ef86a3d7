# A stand-in for ArbitratorPool in tests: draws among given candidates, notes what it is told, misbehaves on demand.
# pragma version 0.4.3
# pragma evm-version cancun

from interfaces import ArbitratorPool

implements: ArbitratorPool

interface Escrow:
    def drawArbitrator(orderId: uint256): nonpayable

candidates: DynArray[address, 8]
# What draw answers instead of a candidate, when not zero.
forced: public(address)
drawFails: public(bool)
drawReenters: public(bool)
noticesFail: public(bool)
noticesBurnAllGas: public(bool)

lastSeed: public(bytes32)
lastCalledBlock: public(uint256)
ruledBy: public(HashMap[uint256, address])
missedBy: public(HashMap[uint256, HashMap[address, bool]])


@external
def setCandidates(candidates: DynArray[address, 8]):
    self.candidates = candidates


@external
def force(arbitrator: address):
    self.forced = arbitrator


@external
def misbehave(drawFails: bool, drawReenters: bool, noticesFail: bool, noticesBurnAllGas: bool):
    self.drawFails = drawFails
    self.drawReenters = drawReenters
    self.noticesFail = noticesFail
    self.noticesBurnAllGas = noticesBurnAllGas


@external
def draw(orderId: uint256, buyer: address, seller: address, calledBlock: uint256, seed: bytes32) -> address:
    assert not self.drawFails, "pool closed"
    self.lastSeed = seed
    self.lastCalledBlock = calledBlock
    if self.drawReenters:
        extcall Escrow(msg.sender).drawArbitrator(orderId)
    if self.forced != empty(address):
        return self.forced
    count: uint256 = len(self.candidates)
    for i: uint256 in range(count, bound=8):
        candidate: address = self.candidates[(convert(seed, uint256) % count + i) % count]
        if candidate not in [buyer, seller] and not self.missedBy[orderId][candidate]:
            return candidate
    return empty(address)


@external
def ruled(orderId: uint256, arbitrator: address):
    self._misbehave()
    self.ruledBy[orderId] = arbitrator


@external
def missed(orderId: uint256, arbitrator: address):
    self._misbehave()
    self.missedBy[orderId][arbitrator] = True


@internal
@view
def _misbehave():
    assert not self.noticesFail, "no notices"
    assert not self.noticesBurnAllGas, UNREACHABLE
