# A token for tests that can be told to take fees, lie, overdraw or call back into the escrow.
# pragma version 0.4.3
# pragma evm-version cancun

decimals: public(constant(uint8)) = 6
balanceOf: public(HashMap[address, uint256])
takesFee: public(bool)
saysNo: public(bool)
movesNothing: public(bool)
overdraws: public(bool)
target: address
attack: Bytes[512]
attacked: public(bool)
attackWorked: public(bool)


@external
def mint(to: address, amount: uint256):
    self.balanceOf[to] += amount


@external
def misbehave(takesFee: bool, saysNo: bool, movesNothing: bool, overdraws: bool):
    self.takesFee = takesFee
    self.saysNo = saysNo
    self.movesNothing = movesNothing
    self.overdraws = overdraws


@external
def plan(target: address, attack: Bytes[512]):
    """
    @notice The next transfer makes this call before it moves anything.
    """
    self.target = target
    self.attack = attack


@external
def transferFrom(sender: address, to: address, amount: uint256) -> bool:
    return self._move(sender, to, amount)


@external
def transfer(to: address, amount: uint256) -> bool:
    return self._move(msg.sender, to, amount)


@internal
def _move(sender: address, to: address, amount: uint256) -> bool:
    if self.target != empty(address):
        target: address = self.target
        self.target = empty(address)
        self.attacked = True
        self.attackWorked = raw_call(target, self.attack, revert_on_failure=False)
    if self.movesNothing:
        return not self.saysNo
    taken: uint256 = amount
    if self.overdraws:
        taken += 1
    arriving: uint256 = amount
    if self.takesFee:
        arriving -= 1
    self.balanceOf[sender] -= taken
    self.balanceOf[to] += arriving
    return not self.saysNo
