# What a contract holds, per token: the sum locked in it, what is owed to whom, and the only token transfers.
# pragma version 0.4.3

from ethereum.ercs import IERC20

event Withdrawn:
    owner: indexed(address)
    token: indexed(address)
    to: indexed(address)
    amount: uint256

# owner -> token -> base units of that token that the owner may withdraw
credits: public(HashMap[address, HashMap[address, uint256]])
# token -> base units locked: by the escrow in orders that have not ended, platform fees included; by the pool in stakes
openAmount: public(HashMap[address, uint256])


@internal
def _lock(token: address, payer: address, amount: uint256):
    """
    @dev Pulls exactly `amount` base units, after writing them down. Tokens that return nothing pass; those that
         return false, move another amount or take a fee are refused.
    """
    self.openAmount[token] += amount
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transferFrom(payer, self, amount, default_return_value=True), "transfer refused"
    assert staticcall IERC20(token).balanceOf(self) == before + amount, "transfer not exact"


@internal
def _unlock(token: address, amount: uint256):
    self.openAmount[token] -= amount


@internal
def _credit(token: address, receiver: address, amount: uint256):
    if amount != 0:
        self.credits[receiver][token] += amount


@external
@nonreentrant
def withdraw(token: address, to: address):
    """
    @notice Pays everything that the caller is owed in `token` to `to`. Works while paused.
    @dev Holds the escrow's own balance to the exact change. What arrives is between the receiver and the token: a
         token that starts to charge its receivers must not lock anyone in.
         Errors: "bad receiver" (zero or the escrow), "nothing to withdraw", "transfer refused", "transfer not exact".
    @param token The token's address, whether or not it is still allowed for new orders.
    @param to Who receives the tokens; any address but zero and the escrow, for callers whom the token refuses.
    """
    self._pay(token, to)


@internal
def _pay(token: address, to: address):
    """
    @dev Pays everything that the caller is owed in `token`; holds the contract's own balance to the exact change.
    """
    assert to not in [empty(address), self], "bad receiver"
    amount: uint256 = self.credits[msg.sender][token]
    assert amount != 0, "nothing to withdraw"
    self.credits[msg.sender][token] = 0
    log Withdrawn(owner=msg.sender, token=token, to=to, amount=amount)
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    assert extcall IERC20(token).transfer(to, amount, default_return_value=True), "transfer refused"
    assert staticcall IERC20(token).balanceOf(self) + amount == before, "transfer not exact"
