# How chance decides a draw: each candidate waits for a random time, the shorter the more it weighs; the first is drawn.
# pragma version 0.4.3

# 1 in the fixed point of this file.
ONE: constant(uint256) = 2 ** 64
# ln 2, and what is halved to be found between a half and one.
LN2: constant(uint256) = 12_786_308_645_202_655_660
HALF: constant(uint256) = 2 ** 127


@internal
@pure
def _wait(seed: bytes32, candidate: address) -> uint256:
    """
    @dev The candidate's waiting time at weight 1: exponential with mean ONE, to two millionths. The least of
         wait / weight falls on each candidate by its share of the weight. Nothing but the seed, the candidate and its
         own weight is in it: whoever comes or goes, all others keep their order.
    """
    chance: uint256 = convert(keccak256(abi_encode(seed, candidate)), uint256) >> 128
    wait: uint256 = 0
    for i: uint256 in range(64):
        if chance >= HALF:
            break
        chance <<= 1
        wait += LN2
    # chance is now between a half and one, and -ln(chance) = 2 atanh(t), t at most a third
    part: uint256 = chance >> 64
    t: uint256 = (ONE - part) * ONE // (ONE + part)
    square: uint256 = t * t // ONE
    series: uint256 = ONE // 7 + square // 9
    series = ONE // 5 + square * series // ONE
    series = ONE // 3 + square * series // ONE
    series = ONE + square * series // ONE
    return wait + 2 * t * series // ONE


@internal
@pure
def _sooner(wait: uint256, weight: uint256, otherWait: uint256, otherWeight: uint256) -> bool:
    """
    @dev Whether wait / weight is less than otherWait / otherWeight.
    """
    return wait * otherWeight < otherWait * weight
