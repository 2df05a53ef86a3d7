"""Every refusal of identity."""

from entrepot.kernel.refusal import Unauthenticated


class NonceSpent(Unauthenticated):
    """This nonce was used, has expired, or was not given out for this wallet; ask for a new one."""


class NotSignedBy(Unauthenticated):
    """The signature was not made by {wallet}."""

    wallet: str


class WrongMessage(Unauthenticated):
    """The signed message does not fit this server: its {field} must be {expected}."""

    field: str
    expected: str
