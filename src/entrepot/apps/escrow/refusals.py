"""Every refusal of escrow."""

from datetime import datetime

from entrepot.kernel.refusal import Conflict, Forbidden, NotFound, Unauthenticated


class WalletBlacklisted(Forbidden):
    """This wallet is on the blacklist of this market."""


class AlreadyBlacklisted(Conflict):
    """This wallet is on the blacklist already, for this reason: {reason}"""

    reason: str


class NotBlacklisted(NotFound):
    """This wallet is not on the blacklist."""


class SignInAgain(Unauthenticated):
    """This wallet has no profile here yet: sign in again, with a public key."""


class NoSuchProduct(NotFound):
    """There is no such listing here, or it is not yours."""


class NoSuchProfile(NotFound):
    """Nobody with this wallet has traded here."""


class NoSuchOrder(NotFound):
    """There is no such order, or this is not yours to do."""


class NoSuchDispute(NotFound):
    """There is no dispute about such an order, or it is not yours to see."""


class NoSuchEvidence(NotFound):
    """There is no such evidence for this order here."""


class TooLate(Conflict):
    """The contract has taken this until {deadline} only."""

    deadline: datetime


class ArbitratorAtWork(Conflict):
    """{arbitrator_wallet} has been drawn and may rule until {deadline}."""

    arbitrator_wallet: str
    deadline: datetime


class NoArbitratorYet(Conflict):
    """There is no arbitrator whom evidence could be sealed to: draw one first."""


class DrawTooEarly(Conflict):
    """An arbitrator is drawn by block {draw_block}; the chain is at {block} here."""

    draw_block: int
    block: int


class ArbitratorConflicted(Conflict):
    """You are in conflict with a party of this order, so you may not rule on it; `reasons` tells how."""

    reasons: list[str]


class TooMuchEvidence(Conflict):
    """A party hands in {most} pieces of evidence for an order and its arbitrator at most."""

    most: int


class AlreadyReviewed(Conflict):
    """You have reviewed this order; a review stays as it is."""


class OwnProduct(Conflict):
    """You cannot buy what you sell."""


class OutOfStock(Conflict):
    """{reserved} of the {stock} that are left are reserved for buyers; try again in some minutes."""

    stock: int
    reserved: int


class NewSellerOrders(Conflict):
    """This seller is new here and takes {most} orders a day at most; try again tomorrow."""

    most: int


class NewSellerAmount(Conflict):
    """This seller is new here and takes {most} an order at most; this one would be {amount}."""

    most: str
    amount: str


class KeyRotated(Conflict):
    """The buyer has another public key by now: seal it to that one."""

    public_key: str


class BuyerHasNoKey(Conflict):
    """The buyer has never signed in here, so there is no public key to seal to."""
