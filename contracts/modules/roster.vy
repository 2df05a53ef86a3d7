# Who is in the pool: a list that is walked whole, where joining and leaving cost the same however long it is.
# pragma version 0.4.3

MAX_ARBITRATORS: public(constant(uint256)) = 256

members: DynArray[address, MAX_ARBITRATORS]
# member -> its index in members, plus one
place: HashMap[address, uint256]


@external
@view
def size() -> uint256:
    """
    @notice How many arbitrators are in the pool, active or not.
    """
    return len(self.members)


@external
@view
def arbitratorAt(i: uint256) -> address:
    """
    @notice The arbitrator at index `i`, from 0; the order changes when someone leaves.
    """
    return self.members[i]


@internal
@view
def _has(arbitrator: address) -> bool:
    return self.place[arbitrator] != 0


@internal
def _add(arbitrator: address):
    assert not self._has(arbitrator), "already registered"
    assert len(self.members) < MAX_ARBITRATORS, "pool is full"
    self.members.append(arbitrator)
    self.place[arbitrator] = len(self.members)


@internal
def _remove(arbitrator: address):
    """
    @dev The last member takes the place of the one that leaves.
    """
    last: address = self.members.pop()
    if last != arbitrator:
        index: uint256 = self.place[arbitrator]
        self.members[index - 1] = last
        self.place[last] = index
    self.place[arbitrator] = 0
