"""What is always true of the market's data; each statement answers with the rows of which it is not."""

from entrepot.apps.escrow.points import TRADES
from entrepot.apps.escrow.store.reputation import any_of

ENDED = any_of(TRADES)
INVARIANTS = {
    "an order stands on the contract's event that made it": """
        SELECT o.id, o.chain, o.onchain_order_id FROM escrow.orders o
        WHERE o.orphaned_at IS NULL AND NOT EXISTS (
            SELECT FROM escrow.contract_events e WHERE e.chain = o.chain AND e.name = 'OrderCreated'
            AND e.onchain_order_id = o.onchain_order_id
        )
    """,
    "an order is orphaned if and only if the contract has no number for it": """
        SELECT id, onchain_order_id, orphaned_at FROM escrow.orders
        WHERE (onchain_order_id < 0) <> (orphaned_at IS NOT NULL)
    """,
    "an order has the times of the state that it is in": f"""
        SELECT id, status FROM escrow.orders WHERE orphaned_at IS NULL AND (
            (status IN ({ENDED}) AND (completed_at IS NULL OR tx_hash_complete IS NULL))
            OR (status IN ('disputed', 'resolved_buyer', 'resolved_seller') AND dispute_opened_at IS NULL)
            OR (status = 'seller_confirmed' AND seller_confirmed_at IS NULL)
        )
    """,
    "a block has one hash on each chain": """
        SELECT chain, block_number FROM escrow.contract_events
        GROUP BY chain, block_number HAVING count(DISTINCT block_hash) > 1
    """,
    "no event lies ahead of its contract's cursor": """
        SELECT e.chain, e.contract, e.block_number, c.last_block FROM escrow.contract_events e
        LEFT JOIN escrow.event_sync_cursor c ON c.chain = e.chain AND c.contract = e.contract
        WHERE c.last_block IS NULL OR e.block_number > c.last_block
    """,
    "a profile has the trades that its orders make": f"""
        SELECT u.wallet, u.total_trades, u.total_as_buyer, u.total_as_seller, b.trades, s.trades AS as_seller
        FROM escrow.user_profiles u
        LEFT JOIN (
            SELECT buyer_wallet, count(*) AS trades FROM escrow.orders
            WHERE orphaned_at IS NULL AND status IN ({ENDED}) GROUP BY 1
        ) b ON b.buyer_wallet = u.wallet
        LEFT JOIN (
            SELECT seller_wallet, count(*) AS trades FROM escrow.orders
            WHERE orphaned_at IS NULL AND status IN ({ENDED}) GROUP BY 1
        ) s ON s.seller_wallet = u.wallet
        WHERE (u.total_as_buyer, u.total_as_seller) <> (coalesce(b.trades, 0), coalesce(s.trades, 0))
            OR u.total_trades <> u.total_as_buyer + u.total_as_seller
    """,
    "a review is by one party of an order about the other": """
        SELECT r.id, r.order_id FROM escrow.reviews r JOIN escrow.orders o ON o.id = r.order_id
        WHERE (r.reviewer_wallet, r.target_wallet) NOT IN
            ((o.buyer_wallet, o.seller_wallet), (o.seller_wallet, o.buyer_wallet))
    """,
    "a wallet is marked as blacklisted if and only if it is on the list": """
        SELECT u.wallet, u.is_blacklisted FROM escrow.user_profiles u
        WHERE u.is_blacklisted <> EXISTS (SELECT FROM escrow.blacklist b WHERE b.wallet = u.wallet)
    """,
}
