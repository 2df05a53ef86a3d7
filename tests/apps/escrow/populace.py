"""A market full of people, listings and trades in every state, for calls that are made up by a machine."""

import hashlib
import secrets
from itertools import cycle
from typing import Any

from eth_account import Account

from entrepot.apps.escrow.model import OrderStatus
from tests.apps.escrow.conftest import Caller, Market
from tests.apps.escrow.scenes import Stage, keys, moments
from tests.apps.escrow.test_messages import box
from tests.made_up import People

LISTINGS = 40
OF_EACH = 3
SESSION = "INSERT INTO core.sessions (token_hash, wallet, expires_at) VALUES ($1, $2, now() + interval '1 day')"


async def spare_sessions(market: Market, caller: Caller, many: int) -> list[str]:
    """More sessions of one caller."""
    tokens = [secrets.token_urlsafe(32) for _ in range(many)]
    rows = [(hashlib.sha256(token.encode()).digest(), caller.wallet) for token in tokens]
    await market.owner.executemany(SESSION, rows)
    return tokens


async def trades(
    market: Market, seller: Caller, buyer: Caller, arbitrator: Caller, product: Any
) -> tuple[list[str], str]:
    """Orders in every state, each with a message in it, and the key of who buys what is to be delivered."""
    made = []
    undecided = [(OrderStatus.DISPUTED, drawn) for drawn in (arbitrator.wallet, arbitrator.wallet, None)]
    quiet = await market.member()  # whose key nobody rotates meanwhile
    earlier = (await market.member()).wallet  # whoever has ruled for a party of late may not rule for it again
    wanted = [
        *OrderStatus,
        *[OrderStatus.CREATED] * 4,
        *[OrderStatus.SELLER_CONFIRMED] * 3,
        *[OrderStatus.COMPLETED] * 3,
    ]
    for status, drawn in [*((status, earlier) for status in wanted), *undecided] * OF_EACH:
        who = quiet if status is OrderStatus.CREATED else buyer
        made.append(str(await market.order(product, who, status=status, **moments(status, drawn))))
        assert (await who.post(f"orders/{made[-1]}/messages", **box())).status == 201
    return made, quiet.key


async def settle(market: Market, operator: Caller, cases: int) -> People:
    """Everything that the made-up calls may meet."""
    await operator.sign_in(operator.key)
    seller, buyer, arbitrator = [await market.member() for _ in range(3)]
    products = [await seller.lists() for _ in range(LISTINGS)]
    orders, key = await trades(market, seller, buyer, arbitrator, products[0])
    evident, cid = await Stage(market, buyer, seller, arbitrator, seller).evidence()
    orders += [str(evident)] * 4 * OF_EACH
    outlaw = await market.member()
    await market.ban(outlaw.wallet)
    cast = {"seller": seller, "buyer": buyer, "arbitrator": arbitrator, "operator": operator}
    spare = await spare_sessions(market, await market.member(), cases)
    known = {
        "products/{id}": [product["id"] for product in products],
        "orders/{id}": orders,
        "order_id": orders,
        "disputes/{order_id}/evidence/{cid}": [cid],
        "product_id": [product["id"] for product in products],
        "profile/{wallet}": [caller.wallet for caller in cast.values()],
        "admin/blacklist/{wallet}": [outlaw.wallet],
        "price_usdt": ["1.00", "25.00", "49.999999", "100000000000"],
        "seller": [seller.wallet],
        "wallet": [str(Account.create().address) for _ in range(LISTINGS)],
        "chain": ["ethereum"],
        "keys": [keys(buyer, seller, arbitrator)],
        "buyer_public_key": [key],
    }
    return People({name: caller.token for name, caller in cast.items()} | {"nobody": ""}, cycle(spare), known)
