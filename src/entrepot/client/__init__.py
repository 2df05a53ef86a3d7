"""The market's client in Python: async, typed by the server's own structs, and distrustful of what it is to sign."""

from entrepot.apps.escrow.acts import Act
from entrepot.apps.escrow.calls.live import (
    ArbitratorChanged,
    DeliveryKept,
    EvidenceRecorded,
    MessageSent,
    OrderMoved,
    OrderUndone,
)
from entrepot.apps.escrow.calls.orders import PreparedOrder
from entrepot.apps.escrow.model import Category, ChainName, EvidenceType, OrderStatus, Token
from entrepot.client.chat.following import Seen
from entrepot.client.chat.keyring import KeyChanged, UnacceptedKey
from entrepot.client.chat.letters import ChatLetter
from entrepot.client.client import Client
from entrepot.client.failures import Late, NoKey, Refused, Unreachable, WrongDelivery, WrongEvidence, WrongTransaction
from entrepot.kernel.chain.account import TransactionFailed
from entrepot.kernel.chain.rpc import ChainFailure
from entrepot.kernel.http.frames import Ready, StartOver

__all__ = [
    "Act",
    "ArbitratorChanged",
    "Category",
    "ChainFailure",
    "ChainName",
    "ChatLetter",
    "Client",
    "DeliveryKept",
    "EvidenceRecorded",
    "EvidenceType",
    "KeyChanged",
    "Late",
    "MessageSent",
    "NoKey",
    "OrderMoved",
    "OrderStatus",
    "OrderUndone",
    "PreparedOrder",
    "Ready",
    "Refused",
    "Seen",
    "StartOver",
    "Token",
    "TransactionFailed",
    "UnacceptedKey",
    "Unreachable",
    "WrongDelivery",
    "WrongEvidence",
    "WrongTransaction",
]
