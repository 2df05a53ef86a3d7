# An ERC-20 that behaves as USDT does, for local chains only: calls return nothing, and accounts can be denied.
# pragma version 0.4.3
# pragma evm-version cancun
"""
@title TestUSDT
@license Apache-2.0
@notice For local chains only: mint is open to everyone, so its tokens are worth nothing.
@dev transfer, transferFrom and approve return nothing; approve refuses to replace one non-zero allowance by another;
     an infinite allowance is not used up; the deployer keeps a deny list. It is stricter than USDT's own, which only
     refuses denied senders: denied receivers are refused too, as USDC does. Amounts are base units: 10 ** decimals of
     them are one token.
"""

event Transfer:
    sender: indexed(address)
    receiver: indexed(address)
    value: uint256

event Approval:
    owner: indexed(address)
    spender: indexed(address)
    value: uint256

name: public(String[32])
symbol: public(String[32])
decimals: public(immutable(uint8))
totalSupply: public(uint256)
balanceOf: public(HashMap[address, uint256])
allowance: public(HashMap[address, HashMap[address, uint256]])
owner: public(immutable(address))
isDenied: public(HashMap[address, bool])


@deploy
def __init__(_name: String[32], _symbol: String[32], _decimals: uint8):
    """
    @param _decimals 6 on Ethereum, 18 on BSC.
    """
    self.name = _name
    self.symbol = _symbol
    decimals = _decimals
    owner = msg.sender


@external
def mint(to: address, amount: uint256):
    """
    @notice Makes `amount` base units out of nothing for `to`. Anyone may call.
    """
    self.totalSupply += amount
    self.balanceOf[to] += amount
    log Transfer(sender=empty(address), receiver=to, value=amount)


@external
def setDenied(account: address, denied: bool):
    """
    @notice Puts an account on the deny list, or takes it off. Deployer only. Errors: "not the owner".
    """
    assert msg.sender == owner, "not the owner"
    self.isDenied[account] = denied


@external
def transfer(to: address, amount: uint256):
    """
    @notice Moves the caller's tokens; returns nothing. Errors: "denied", "balance too low", "no receiver".
    """
    self._move(msg.sender, to, amount)


@external
def transferFrom(sender: address, to: address, amount: uint256):
    """
    @notice Moves tokens that the sender allowed the caller to move; returns nothing. Errors: "allowance too low",
            "denied", "balance too low", "no receiver".
    """
    allowed: uint256 = self.allowance[sender][msg.sender]
    assert allowed >= amount, "allowance too low"
    if allowed != max_value(uint256):
        self.allowance[sender][msg.sender] = allowed - amount
    self._move(sender, to, amount)


@external
def approve(spender: address, amount: uint256):
    """
    @notice Allows `spender` to move up to `amount` base units of the caller's; returns nothing. Errors: "reset to zero
            first" when one non-zero allowance would replace another.
    """
    assert amount == 0 or self.allowance[msg.sender][spender] == 0, "reset to zero first"
    self.allowance[msg.sender][spender] = amount
    log Approval(owner=msg.sender, spender=spender, value=amount)


@internal
def _move(sender: address, to: address, amount: uint256):
    assert not (self.isDenied[sender] or self.isDenied[to]), "denied"
    assert to != empty(address), "no receiver"
    assert self.balanceOf[sender] >= amount, "balance too low"
    self.balanceOf[sender] -= amount
    self.balanceOf[to] += amount
    log Transfer(sender=sender, receiver=to, value=amount)
