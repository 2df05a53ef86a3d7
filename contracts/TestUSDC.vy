# A plain ERC-20 for local chains only: anyone may mint.
# pragma version 0.4.3
# pragma evm-version cancun
"""
@title TestUSDC
@license Apache-2.0
@notice For local chains only: mint is open to everyone, so its tokens are worth nothing.
@dev Amounts are base units: 10 ** decimals of them are one token.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed

implements: IERC20
implements: IERC20Detailed

name: public(String[32])
symbol: public(String[32])
decimals: public(immutable(uint8))
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])


@deploy
def __init__(_name: String[32], _symbol: String[32], _decimals: uint8):
    """
    @param _decimals 6, as USDC has, unless a chain's own differs.
    """
    self.name = _name
    self.symbol = _symbol
    decimals = _decimals


@external
def mint(to: address, amount: uint256):
    """
    @notice Makes `amount` base units out of nothing for `to`. Anyone may call.
    """
    self.totalSupply += amount
    self.balanceOf[to] += amount
    log IERC20.Transfer(sender=empty(address), receiver=to, value=amount)


@external
def transfer(to: address, amount: uint256) -> bool:
    """
    @notice Moves the caller's tokens. Errors: "balance too low", "no receiver".
    """
    self._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    """
    @notice Moves tokens that the owner allowed the caller to move. Errors: "allowance too low", "balance too low", "no
            receiver".
    """
    allowed: uint256 = self.allowance[owner][msg.sender]
    assert allowed >= amount, "allowance too low"
    self.allowance[owner][msg.sender] = allowed - amount
    self._move(owner, to, amount)
    return True


@external
def approve(spender: address, amount: uint256) -> bool:
    """
    @notice Allows `spender` to move up to `amount` base units of the caller's.
    """
    self.allowance[msg.sender][spender] = amount
    log IERC20.Approval(owner=msg.sender, spender=spender, value=amount)
    return True


@internal
def _move(owner: address, to: address, amount: uint256):
    assert to != empty(address), "no receiver"
    assert self.balanceOf[owner] >= amount, "balance too low"
    self.balanceOf[owner] -= amount
    self.balanceOf[to] += amount
    log IERC20.Transfer(sender=owner, receiver=to, value=amount)
