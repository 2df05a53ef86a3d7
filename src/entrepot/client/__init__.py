"""The market's client in Python: async, typed by the server's own structs, and distrustful of what it is to sign."""

from entrepot.apps.escrow.calls.orders import PreparedOrder
from entrepot.apps.escrow.model import Category, ChainName, OrderStatus, Token
from entrepot.client.client import Client
from entrepot.client.failures import Late, Refused, Unreachable, WrongDelivery, WrongTransaction
from entrepot.kernel.chain.account import TransactionFailed
from entrepot.kernel.chain.rpc import ChainFailure

__all__ = [
    "Category",
    "ChainFailure",
    "ChainName",
    "Client",
    "Late",
    "OrderStatus",
    "PreparedOrder",
    "Refused",
    "Token",
    "TransactionFailed",
    "Unreachable",
    "WrongDelivery",
    "WrongTransaction",
]
