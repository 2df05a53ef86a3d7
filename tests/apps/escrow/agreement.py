"""Whether the mirror agrees with the contract: every order, every event, nothing twice and nothing missing."""

import asyncpg

from entrepot.apps.escrow.model import OrderStatus
from entrepot.kernel.money import from_units
from tests.bazaar import ESCROW, Bazaar

ORDERS = """
    SELECT onchain_order_id, status, buyer_wallet, seller_wallet, arbitrator_wallet, token, amount, platform_fee,
        extract(epoch FROM seller_deadline)::bigint AS seller_deadline,
        coalesce(extract(epoch FROM release_deadline)::bigint, 0) AS release_deadline, delivery_hash
    FROM escrow.orders WHERE chain = $1 AND orphaned_at IS NULL ORDER BY onchain_order_id
"""
EVENTS = """
    SELECT block_number, log_index, block_hash, tx_hash, name FROM escrow.contract_events
    WHERE chain = $1 ORDER BY block_number, log_index
"""


async def disagreements(connection: asyncpg.Connection, bazaar: Bazaar) -> list[str]:
    """What differs, in words; empty when nothing does."""
    return [*await _orders(connection, bazaar), *await _events(connection, bazaar)]


async def _orders(connection: asyncpg.Connection, bazaar: Bazaar) -> list[str]:
    rows = {row["onchain_order_id"]: row for row in await connection.fetch(ORDERS, bazaar.chain)}
    wrong = []
    many = await bazaar.call("nextOrderId") - 1
    if set(rows) != set(range(1, many + 1)):
        wrong.append(f"the contract has orders 1..{many}, the mirror has {sorted(rows)}")
    symbols = {contract.address: contract for contract in bazaar.contracts.values()}
    for number, row in rows.items():
        if number > many:
            continue
        order = await bazaar.call("getOrder", number)
        token = symbols[order.token]
        says = {
            "status": list(OrderStatus)[order.status - 1],
            "buyer_wallet": order.buyer,
            "seller_wallet": order.seller,
            "token": token.name,
            "amount": from_units(order.amount, token.decimals or 0),
            "platform_fee": from_units(order.fee, token.decimals or 0),
            "seller_deadline": order.seller_deadline,
            "release_deadline": order.release_deadline,
            "delivery_hash": "0x" + order.delivery_hash.hex() if any(order.delivery_hash) else None,
        }
        differing = [name for name, value in says.items() if row[name] != value]
        wrong += [f"order {number}: {name} is {row[name]}, not {says[name]}" for name in differing]
    return wrong


async def _events(connection: asyncpg.Connection, bazaar: Bazaar) -> list[str]:
    wanted = {"address": bazaar.escrow, "fromBlock": "0x0", "toBlock": "latest"}
    names = {topic: name for name, topic in ESCROW.topics.items()}
    chain = [
        (log.block_number, log.log_index, log.block_hash, log.tx_hash, names[log.topics[0]])
        for log in await bazaar.node.rpc.logs(wanted)
    ]
    mirror = [tuple(row) for row in await connection.fetch(EVENTS, bazaar.chain)]
    missing, surplus = set(chain) - set(mirror), set(mirror) - set(chain)
    return [f"missing {event}" for event in sorted(missing)] + [f"surplus {event}" for event in sorted(surplus)]
