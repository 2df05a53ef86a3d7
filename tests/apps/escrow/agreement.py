"""Whether the mirror agrees with the contract: every order, every event, nothing twice and nothing missing."""

import asyncpg

from entrepot.apps.escrow.model import OrderStatus
from entrepot.kernel.chain.abi import Contract
from entrepot.kernel.money import from_units
from tests.bazaar import ESCROW, POOL, Bazaar

ORDERS = """
    SELECT onchain_order_id, status, buyer_wallet, seller_wallet, arbitrator_wallet, token, amount, platform_fee,
        extract(epoch FROM seller_deadline)::bigint AS seller_deadline,
        coalesce(extract(epoch FROM release_deadline)::bigint, 0) AS release_deadline, delivery_hash
    FROM escrow.orders WHERE chain = $1 AND orphaned_at IS NULL ORDER BY onchain_order_id
"""
EVENTS = """
    SELECT block_number, log_index, block_hash, tx_hash, name FROM escrow.contract_events
    WHERE chain = $1 AND contract = $2 ORDER BY block_number, log_index
"""
MEMBERS = """
    SELECT wallet, stake_amount, reputation, is_active, assigned, total_resolved FROM escrow.pool_members
    WHERE chain = $1
"""


async def disagreements(connection: asyncpg.Connection, bazaar: Bazaar) -> list[str]:
    """What differs, in words; empty when nothing does."""
    return [*await _orders(connection, bazaar), *await _events(connection, bazaar, ESCROW, bazaar.escrow)]


async def pool_disagreements(connection: asyncpg.Connection, bazaar: Bazaar) -> list[str]:
    """The same of the arbitrators' pool."""
    rows = {row["wallet"]: tuple(row)[1:] for row in await connection.fetch(MEMBERS, bazaar.chain)}
    decimals, wrong = bazaar.contracts["USDT"].decimals or 0, []
    members = {await bazaar.in_pool("arbitratorAt", i) for i in range(await bazaar.in_pool("size"))}
    for wallet in sorted(members | set(rows)):
        one = await bazaar.in_pool("getArbitrator", wallet)
        says = (from_units(one.stake, decimals), one.reputation, one.active, one.assigned, one.resolved)
        if rows.get(wallet) != says:
            wrong.append(f"{wallet} is {rows.get(wallet)}, not {says}")
    return [*wrong, *await _events(connection, bazaar, POOL, bazaar.pool)]


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


async def _events(connection: asyncpg.Connection, bazaar: Bazaar, contract: Contract, address: str) -> list[str]:
    wanted = {"address": address, "fromBlock": "0x0", "toBlock": "latest"}
    names = {topic: name for name, topic in contract.topics.items()}
    chain = [
        (log.block_number, log.log_index, log.block_hash, log.tx_hash, names[log.topics[0]])
        for log in await bazaar.node.rpc.logs(wanted)
    ]
    mirror = [tuple(row) for row in await connection.fetch(EVENTS, bazaar.chain, address)]
    missing, surplus = set(chain) - set(mirror), set(mirror) - set(chain)
    return [f"missing {event}" for event in sorted(missing)] + [f"surplus {event}" for event in sorted(surplus)]
