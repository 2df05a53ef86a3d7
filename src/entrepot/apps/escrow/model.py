"""Nouns of escrow and the order's state machine. Enum values are the reference's own."""

from enum import StrEnum

from entrepot.kernel.machine import Machine


class OrderStatus(StrEnum):
    """Where an order stands; the contract has the same states in the same order."""

    CREATED = "created"
    SELLER_CONFIRMED = "seller_confirmed"
    COMPLETED = "completed"
    DISPUTED = "disputed"
    RESOLVED_BUYER = "resolved_buyer"
    RESOLVED_SELLER = "resolved_seller"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class OrderEvent(StrEnum):
    """What moves an order; each is one event of the contract."""

    CONFIRM_DELIVERY = "confirm delivery"
    COMPLETE = "complete"
    CANCEL = "cancel"
    EXPIRE = "expire"
    DISPUTE = "dispute"
    RULE_FOR_BUYER = "rule for the buyer"
    RULE_FOR_SELLER = "rule for the seller"


ORDER = Machine(
    {
        (OrderStatus.CREATED, OrderEvent.CONFIRM_DELIVERY): OrderStatus.SELLER_CONFIRMED,
        (OrderStatus.CREATED, OrderEvent.CANCEL): OrderStatus.CANCELLED,
        (OrderStatus.CREATED, OrderEvent.EXPIRE): OrderStatus.EXPIRED,
        (OrderStatus.SELLER_CONFIRMED, OrderEvent.COMPLETE): OrderStatus.COMPLETED,
        (OrderStatus.SELLER_CONFIRMED, OrderEvent.DISPUTE): OrderStatus.DISPUTED,
        (OrderStatus.DISPUTED, OrderEvent.RULE_FOR_BUYER): OrderStatus.RESOLVED_BUYER,
        (OrderStatus.DISPUTED, OrderEvent.RULE_FOR_SELLER): OrderStatus.RESOLVED_SELLER,
    }
)

RELEASES_STOCK = frozenset({OrderStatus.CANCELLED, OrderStatus.EXPIRED, OrderStatus.RESOLVED_BUYER})
"""States in which the good is the seller's again."""

SOLD = frozenset({OrderStatus.COMPLETED, OrderStatus.RESOLVED_SELLER})
"""States in which the good was sold."""


OPEN = ORDER.states - ORDER.final
"""States in which the contract holds the order's money."""


class ProductStatus(StrEnum):
    """Whether a listing can be bought."""

    ACTIVE = "active"
    PAUSED = "paused"
    SOLD_OUT = "sold_out"
    DELETED = "deleted"


class ProductEvent(StrEnum):
    """What moves a listing."""

    PAUSE = "pause"
    RESUME = "resume"
    SELL_OUT = "sell out"
    RESTOCK = "restock"
    DELETE = "delete"


PRODUCT = Machine(
    {
        (ProductStatus.ACTIVE, ProductEvent.PAUSE): ProductStatus.PAUSED,
        (ProductStatus.ACTIVE, ProductEvent.SELL_OUT): ProductStatus.SOLD_OUT,
        (ProductStatus.ACTIVE, ProductEvent.DELETE): ProductStatus.DELETED,
        (ProductStatus.PAUSED, ProductEvent.RESUME): ProductStatus.ACTIVE,
        (ProductStatus.PAUSED, ProductEvent.DELETE): ProductStatus.DELETED,
        (ProductStatus.SOLD_OUT, ProductEvent.RESTOCK): ProductStatus.ACTIVE,
        (ProductStatus.SOLD_OUT, ProductEvent.DELETE): ProductStatus.DELETED,
    }
)


class Category(StrEnum):
    """What kind of good is sold."""

    DATA = "data"
    ACCOUNTS = "accounts"
    TOOLS = "tools"
    SERVICES = "services"
    OTHER = "other"


class Tier(StrEnum):
    """How long a user has traded: new 0-9 trades, standard 10+, trusted 100+ with a rating of at least 4.0."""

    NEW = "new"
    STANDARD = "standard"
    TRUSTED = "trusted"


class Party(StrEnum):
    """What a wallet can be to a trade; the seller is so to a listing as well."""

    BUYER = "buyer"
    SELLER = "seller"
    ARBITRATOR = "arbitrator"
    """The one that was drawn, once there is a dispute."""


class EvidenceType(StrEnum):
    """What a piece of evidence shows."""

    SCREENSHOT = "screenshot"
    CONVERSATION = "conversation"
    PRODUCT_PROOF = "product_proof"
    OTHER = "other"


class ChainName(StrEnum):
    """The chains that this market knows."""

    BSC = "bsc"
    ETHEREUM = "ethereum"
    ARBITRUM = "arbitrum"
    BASE = "base"


class Token(StrEnum):
    """The tokens that it takes."""

    USDT = "USDT"
    USDC = "USDC"


class BlacklistSource(StrEnum):
    """Who says that a wallet may not trade: an operator, the community, or a list of wallets that used Tornado Cash."""

    MANUAL = "manual"
    COMMUNITY = "community"
    TORNADO = "tornado"
