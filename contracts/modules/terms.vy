# The terms for new orders, which the owner sets: allowed tokens, platform fee, treasury, pause.
# pragma version 0.4.3

from ethereum.ercs import IERC20Detailed

event TokenSupported:
    token: indexed(address)
    supported: bool
    decimals: uint8

event TreasurySet:
    treasury: indexed(address)

event PlatformFeeSet:
    feeBps: uint256

event Paused:
    by: indexed(address)

event Unpaused:
    by: indexed(address)

BPS: constant(uint256) = 10_000
MAX_FEE_BPS: public(constant(uint256)) = 1_000
# Decimals that a price may have, whatever the token's own.
PRICE_DECIMALS: constant(uint8) = 6
# Most that one order may be worth, in whole tokens: fits numeric(18,6) with every fee on top.
MAX_TOKENS: public(constant(uint256)) = 10 ** 11

owner: public(immutable(address))
# Receiver of the platform fee of new orders.
treasury: public(address)
# Platform fee of new orders in hundredths of a percent of the amount.
feeBps: public(uint256)
paused: public(bool)
# token -> base units in a millionth of a token; 0 when the token is not allowed
scale: HashMap[address, uint256]


@deploy
def __init__(treasury: address, feeBps: uint256):
    owner = msg.sender
    self._set_treasury(treasury)
    self._set_fee(feeBps)


@external
@view
def isSupported(token: address) -> bool:
    """
    @notice Whether new orders may use the token.
    """
    return self.scale[token] != 0


@external
@nonreentrant
def setSupportedToken(token: address, supported: bool):
    """
    @notice Allows or disallows a token for new orders; orders made before are not touched. Owner only.
    @dev The decimals are read from the token, once. Errors: "not the owner", "no token" (no code at the address),
         "bad decimals" (fewer than 6 or more than 18).
    """
    self._only_owner()
    decimals: uint8 = 0
    scale: uint256 = 0
    if supported:
        assert token.is_contract, "no token"
        decimals = staticcall IERC20Detailed(token).decimals()
        assert decimals >= PRICE_DECIMALS and decimals <= 18, "bad decimals"
        scale = 10 ** convert(decimals - PRICE_DECIMALS, uint256)
    self.scale[token] = scale
    log TokenSupported(token=token, supported=supported, decimals=decimals)


@external
@nonreentrant
def setTreasury(treasury: address):
    """
    @notice Sets who receives the platform fee of new orders. Owner only. Errors: "not the
            owner", "bad treasury" (zero or the escrow).
    """
    self._only_owner()
    self._set_treasury(treasury)


@external
@nonreentrant
def setPlatformFee(feeBps: uint256):
    """
    @notice Sets the platform fee of new orders. Owner only. Errors: "not the owner", "fee too high".
    @param feeBps Hundredths of a percent of the amount, at most MAX_FEE_BPS.
    """
    self._only_owner()
    self._set_fee(feeBps)


@external
@nonreentrant
def pause():
    """
    @notice Stops new orders and nothing else. Owner only. Errors: "not the owner", "paused".
    """
    self._only_owner()
    assert not self.paused, "paused"
    self.paused = True
    log Paused(by=msg.sender)


@external
@nonreentrant
def unpause():
    """
    @notice Admits new orders again. Owner only. Errors: "not the owner", "not paused".
    """
    self._only_owner()
    assert self.paused, "not paused"
    self.paused = False
    log Unpaused(by=msg.sender)


@internal
@view
def _check_amount(token: address, amount: uint256) -> uint256:
    """
    @dev Base units of `token` in a millionth of a token, when `amount` base units may be ordered today.
    """
    assert not self.paused, "paused"
    scale: uint256 = self.scale[token]
    assert scale != 0, "token not allowed"
    whole: uint256 = scale * 10 ** convert(PRICE_DECIMALS, uint256)
    assert amount >= whole, "amount too small"
    assert amount <= MAX_TOKENS * whole, "amount too large"
    assert amount % scale == 0, "amount too fine"
    return scale


@internal
@pure
def _share(amount: uint256, bps: uint256, scale: uint256) -> uint256:
    """
    @dev `bps` hundredths of a percent of `amount`, rounded down to a millionth of a token; in base units.
    """
    return amount // scale * bps // BPS * scale


@internal
@view
def _only_owner():
    assert msg.sender == owner, "not the owner"


@internal
def _set_treasury(treasury: address):
    assert treasury not in [empty(address), self], "bad treasury"
    self.treasury = treasury
    log TreasurySet(treasury=treasury)


@internal
def _set_fee(feeBps: uint256):
    assert feeBps <= MAX_FEE_BPS, "fee too high"
    self.feeBps = feeBps
    log PlatformFeeSet(feeBps=feeBps)
