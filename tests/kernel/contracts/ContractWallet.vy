# pragma version 0.4.3
"""
@title A wallet that is a contract
@notice Says of a signature that it is its own when its owner made it (ERC-1271); for tests only.
"""

MAGIC: constant(bytes4) = 0x1626ba7e

owner: public(immutable(address))


@deploy
def __init__(owner_: address):
    owner = owner_


@external
@view
def isValidSignature(digest: bytes32, signature: Bytes[65]) -> bytes4:
    assert len(signature) == 65, "a signature has 65 bytes"
    r: uint256 = extract32(signature, 0, output_type=uint256)
    s: uint256 = extract32(signature, 32, output_type=uint256)
    v: uint256 = convert(slice(signature, 64, 1), uint256)
    if ecrecover(digest, v, r, s) == owner:
        return MAGIC
    return empty(bytes4)
