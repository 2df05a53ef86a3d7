"""Unsigned transactions: what a party's wallet has to send to the escrow contract, or to a token."""

from uuid import UUID

from entrepot.apps.escrow import events
from entrepot.apps.escrow.calls.orders import UnsignedTransaction
from entrepot.kernel.chain.abi import Contract, DecodeError
from entrepot.kernel.chain.rpc import BadAnswer, Rpc
from entrepot.kernel.values import Hash32
from entrepot.kernel.wallet import Wallet

ERC20 = Contract(
    [
        {
            "type": "function",
            "name": "approve",
            "inputs": [{"name": "spender", "type": "address"}, {"name": "amount", "type": "uint256"}],
            "outputs": [],
        }
    ]
)


def call(chain_id: int, to: Wallet, data: bytes) -> UnsignedTransaction:
    """A call that sends no wei."""
    return UnsignedTransaction(chain_id, to, "0x" + data.hex())


def approval(chain_id: int, token: Wallet, escrow: Wallet, units: int) -> UnsignedTransaction:
    """Allows the escrow to pull that many base units of the token."""
    return call(chain_id, token, ERC20.encode_call("approve", escrow, units))


def order_reference(order: UUID) -> bytes:
    """How the contract names an order of ours: the id's 16 bytes, then zeros."""
    return order.bytes + bytes(16)


def creation(
    chain_id: int, escrow: Wallet, seller: Wallet, token: Wallet, units: int, product: Hash32, order: UUID
) -> UnsignedTransaction:
    """Makes the order and locks its money."""
    arguments = (seller, token, units, bytes.fromhex(product[2:]), order_reference(order))
    return call(chain_id, escrow, events.contract().encode_call("createOrder", *arguments))


def act(chain_id: int, escrow: Wallet, function: str, *arguments: object) -> UnsignedTransaction:
    """Any other call of the escrow."""
    return call(chain_id, escrow, events.contract().encode_call(function, *arguments))


async def fee_bps(rpc: Rpc, escrow: Wallet) -> int:
    """The platform fee of new orders, in hundredths of a percent, as the contract says now.

    Raises `ChainFailure`, also for a node that has no such contract, as one that is not as far yet.
    """
    answer = await rpc.call_contract(escrow, events.contract().encode_call("feeBps"))
    try:
        return int(events.contract().decode_result("feeBps", answer))
    except DecodeError as wrong:
        raise BadAnswer("the node", "eth_call", str(wrong)) from None
