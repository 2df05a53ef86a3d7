"""Draft of the market's hot reads for the app's store: each statement as it was measured, JSON made by PostgreSQL."""

TEXT = "(p.title_preview || ' ' || p.description_preview)"
# The same text in a form that does not match the index expression, so that the trigram index is left alone.
PLAIN_TEXT = "concat_ws(' ', p.title_preview, p.description_preview)"

INDEXES = """
CREATE INDEX idx_products_seller ON escrow.products (seller_wallet, created_at DESC, id DESC);
CREATE INDEX idx_products_category ON escrow.products (category, created_at DESC, id DESC, price_usdt)
    WHERE status = 'active';
CREATE INDEX idx_products_price ON escrow.products (price_usdt, id) WHERE status = 'active';
CREATE INDEX idx_products_category_price ON escrow.products (category, price_usdt, id) WHERE status = 'active';
CREATE INDEX idx_products_created ON escrow.products (created_at DESC, id DESC) WHERE status = 'active';
CREATE INDEX idx_products_sold ON escrow.products (total_sold DESC, id DESC) WHERE status = 'active';
CREATE INDEX idx_products_search ON escrow.products USING gin (
    (title_preview || ' ' || description_preview) gin_trgm_ops,
    (ARRAY[((created_at AT TIME ZONE 'UTC')::date - DATE '2000-01-01') / 32,
        ((created_at AT TIME ZONE 'UTC')::date - DATE '2000-01-01') / 256 + 1000000])
) WITH (fastupdate = off) WHERE status = 'active';
"""

ITEM = """p.id, p.title_preview, p.description_preview, p.category, p.price_usdt::text AS price_usdt, p.stock,
    p.total_sold, p.created_at, p.seller_wallet, u.display_name AS seller_display_name,
    u.rating::text AS seller_rating"""
OPEN = "p.status = 'active' AND p.deleted_at IS NULL AND NOT u.is_blacklisted"
SELLER = "JOIN escrow.user_profiles u ON u.wallet = p.seller_wallet"
FROM = f"escrow.products p {SELLER}"

ORDERS = {
    "newest": ("p.created_at DESC, p.id DESC", "(p.created_at, p.id) < ($2::timestamptz, $3::uuid)", "created_at"),
    "price": ("p.price_usdt, p.id", "(p.price_usdt, p.id) > ($2::numeric, $3::uuid)", "price_usdt"),
    "price_desc": ("p.price_usdt DESC, p.id DESC", "(p.price_usdt, p.id) < ($2::numeric, $3::uuid)", "price_usdt"),
    "sold": ("p.total_sold DESC, p.id DESC", "(p.total_sold, p.id) < ($2::integer, $3::uuid)", "total_sold"),
}


def listing(order: str = "newest", *, after: bool = False, where: tuple[str, ...] = ()) -> str:
    """The statement for one page: $1 the limit, $2 and $3 the cursor when `after`, then the filters' values."""
    by, beyond, key = ORDERS[order]
    conditions = " AND ".join((OPEN, *((beyond,) if after else ()), *where))
    return f"""
SELECT json_build_object('items', coalesce(json_agg(page), '[]'::json), 'next_cursor',
    CASE WHEN count(*) = $1::bigint THEN (array_agg(page.{key}::text || '~' || page.id))[$1::bigint] END) AS json
FROM (SELECT {ITEM} FROM {FROM} WHERE {conditions} ORDER BY {by} LIMIT $1::bigint) page"""


PRODUCT = f"""
SELECT row_to_json(one) AS json FROM (
    SELECT p.id, p.title_preview, p.description_preview, p.category, p.price_usdt::text AS price_usdt, p.stock,
        p.total_sold, p.product_hash, p.status, p.created_at, p.updated_at,
        json_build_object('wallet', u.wallet, 'display_name', u.display_name, 'public_key', u.public_key,
            'reputation_score', u.reputation_score::text, 'total_trades', u.total_trades,
            'rating', u.rating::text, 'tier', u.tier, 'created_at', u.created_at) AS seller
    FROM {FROM} WHERE p.id = $1 AND p.deleted_at IS NULL AND NOT u.is_blacklisted) one"""
ORDER = "SELECT row_to_json(o) AS json FROM escrow.orders o WHERE o.id = $1 AND $2 IN (o.buyer_wallet, o.seller_wallet)"
PROFILE = "SELECT row_to_json(u) AS json FROM escrow.user_profiles u WHERE u.wallet = $1"
MESSAGES = """
SELECT coalesce(json_agg(m), '[]'::json) AS json FROM (
    SELECT id, sender_wallet, ciphertext, nonce, created_at FROM escrow.messages
    WHERE order_id = $1 AND (created_at, id) < ($2::timestamptz, $3::uuid)
    ORDER BY created_at DESC, id DESC LIMIT 50) m"""
SELLER_TIMEOUTS = """
SELECT id, onchain_order_id, chain FROM escrow.orders
WHERE status = 'created' AND created_at < $1 ORDER BY created_at LIMIT $2"""
BUYER_TIMEOUTS = """
SELECT id, onchain_order_id, chain FROM escrow.orders
WHERE status = 'seller_confirmed' AND seller_confirmed_at < $1 ORDER BY seller_confirmed_at LIMIT $2"""
