"""The one payout rule: who gets what of the money that an order locks, by how the order ends."""

from decimal import Decimal

import msgspec

from entrepot.kernel.money import PLACES, Amount, to_units

BPS = 10_000
ARBITRATION_BPS = 500
"""Of the amount, for the arbitrator who rules; a constant of the contract."""
NOTHING = Decimal(0).scaleb(-PLACES)


class Payout(msgspec.Struct, frozen=True, kw_only=True):
    """What each is credited, in tokens."""

    buyer: Decimal = NOTHING
    seller: Decimal = NOTHING
    arbitrator: Decimal = NOTHING
    treasury: Decimal = NOTHING


def share(amount: Decimal, bps: int) -> Amount:
    """Hundredths of a percent of an amount; the contract's own sum, rounded down to a millionth."""
    micros = to_units(amount, PLACES)
    return Amount(Decimal(micros * bps // BPS).scaleb(-PLACES))


def refunded(amount: Decimal, fee: Decimal) -> Payout:
    """Cancelled, expired, or ended by the default ruling: the buyer has everything back."""
    return Payout(buyer=amount + fee)


def paid(amount: Decimal, fee: Decimal) -> Payout:
    """Completed, by the buyer's word or by the buyer's silence."""
    return Payout(seller=amount, treasury=fee)


def ruled_for_buyer(amount: Decimal, fee: Decimal) -> Payout:
    """The buyer pays the arbitrator and has the rest back, the platform fee too."""
    earned = share(amount, ARBITRATION_BPS)
    return Payout(buyer=amount + fee - earned, arbitrator=earned)


def ruled_for_seller(amount: Decimal, fee: Decimal) -> Payout:
    """The seller pays the arbitrator, out of the price."""
    earned = share(amount, ARBITRATION_BPS)
    return Payout(seller=amount - earned, arbitrator=earned, treasury=fee)
