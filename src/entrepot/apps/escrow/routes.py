"""The routes of escrow."""

from entrepot.apps.escrow.operations import blacklist, messages, orders, products, profiles, reviews, stats, trades
from entrepot.apps.escrow.refusals import (
    AlreadyBlacklisted,
    AlreadyReviewed,
    BuyerHasNoKey,
    KeyRotated,
    NewSellerAmount,
    NewSellerOrders,
    NoSuchOrder,
    NoSuchProduct,
    NoSuchProfile,
    NotBlacklisted,
    OutOfStock,
    OwnProduct,
    SignInAgain,
    WalletBlacklisted,
)
from entrepot.kernel.http.route import Who, delete, get, patch, post
from entrepot.kernel.refusal import WrongState

TRADER = (SignInAgain, WalletBlacklisted)

ROUTES = (
    get("/products", products.list_products, who=Who.ANYONE),
    post("/products", products.create_product, who=Who.SIGNED_IN, status=201, refuses=TRADER),
    get("/products/{id}", products.get_product, who=Who.ANYONE, refuses=(NoSuchProduct,)),
    patch(
        "/products/{id}",
        products.edit_product,
        who=Who.SIGNED_IN,
        refuses=(*TRADER, NoSuchProduct, WrongState),
    ),
    delete("/products/{id}", products.delete_product, who=Who.SIGNED_IN, refuses=(NoSuchProduct, WrongState)),
    get("/profile/{wallet}", profiles.get_profile, who=Who.ANYONE, refuses=(NoSuchProfile,)),
    get("/profile/{wallet}/reviews", reviews.list_reviews, who=Who.ANYONE, refuses=(NoSuchProfile,)),
    patch("/profile", profiles.edit_profile, who=Who.SIGNED_IN, refuses=(SignInAgain,)),
    get("/orders", trades.list_orders, who=Who.SIGNED_IN),
    post(
        "/orders",
        orders.prepare_order,
        who=Who.SIGNED_IN,
        status=201,
        needs_key=True,
        before=orders.read_terms,
        refuses=(*TRADER, NoSuchProduct, OwnProduct, WrongState, OutOfStock, NewSellerAmount, NewSellerOrders),
    ),
    get("/orders/{id}", trades.get_order, who=Who.SIGNED_IN, refuses=(NoSuchOrder,)),
    post(
        "/orders/{id}/delivery",
        trades.deliver,
        who=Who.SIGNED_IN,
        refuses=(*TRADER, NoSuchOrder, WrongState, BuyerHasNoKey, KeyRotated),
    ),
    post("/orders/{id}/confirm", trades.confirm_receipt, who=Who.SIGNED_IN, refuses=(NoSuchOrder, WrongState)),
    post("/orders/{id}/cancel", trades.cancel_order, who=Who.SIGNED_IN, refuses=(NoSuchOrder, WrongState)),
    post(
        "/orders/{id}/reviews",
        reviews.add_review,
        who=Who.SIGNED_IN,
        status=201,
        refuses=(NoSuchOrder, WrongState, AlreadyReviewed),
    ),
    get("/orders/{id}/messages", messages.list_messages, who=Who.SIGNED_IN, refuses=(NoSuchOrder,)),
    post("/orders/{id}/messages", messages.send_message, who=Who.SIGNED_IN, status=201, refuses=(NoSuchOrder,)),
    get("/admin/stats/daily", stats.daily_stats, who=Who.OPERATOR),
    get("/admin/blacklist", blacklist.list_blacklist, who=Who.OPERATOR),
    post("/admin/blacklist", blacklist.ban_wallet, who=Who.OPERATOR, status=201, refuses=(AlreadyBlacklisted,)),
    delete("/admin/blacklist/{wallet}", blacklist.pardon_wallet, who=Who.OPERATOR, refuses=(NotBlacklisted,)),
)
