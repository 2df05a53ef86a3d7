"""The routes of escrow."""

from entrepot.apps.escrow.caches import ARBITRATORS, PRODUCT_LISTS, PROFILES
from entrepot.apps.escrow.calls.evidence import MOST_BODY
from entrepot.apps.escrow.calls.live import FRAMES
from entrepot.apps.escrow.model import Party
from entrepot.apps.escrow.operations import (
    arbitrators,
    blacklist,
    disputes,
    evidence,
    live,
    messages,
    orders,
    outcomes,
    products,
    profiles,
    reviews,
    stats,
    trades,
)
from entrepot.apps.escrow.refusals import (
    AlreadyBlacklisted,
    AlreadyReviewed,
    ArbitratorAtWork,
    ArbitratorConflicted,
    BuyerHasNoKey,
    DrawTooEarly,
    KeyRotated,
    NewSellerAmount,
    NewSellerOrders,
    NoArbitratorYet,
    NoSuchDispute,
    NoSuchEvidence,
    NoSuchOrder,
    NoSuchProduct,
    NoSuchProfile,
    NotBlacklisted,
    OutOfStock,
    OwnProduct,
    SignInAgain,
    TooLate,
    TooMuchEvidence,
    WalletBlacklisted,
)
from entrepot.kernel.http.route import OWN, Who, delete, get, patch, post, stream
from entrepot.kernel.refusal import WrongState

TRADER = (SignInAgain, WalletBlacklisted)
BUYER, SELLER = (Party.BUYER,), (Party.SELLER,)
PARTIES = (Party.BUYER, Party.SELLER)
ARBITRATOR = (Party.ARBITRATOR,)
PARTIES_AND_ARBITRATOR = (*PARTIES, Party.ARBITRATOR)

ROUTES = (
    get("/products", products.list_products, who=Who.ANYONE, cached=PRODUCT_LISTS),
    post("/products", products.create_product, who=Who.SIGNED_IN, of=OWN, status=201, refuses=TRADER),
    get("/products/{id}", products.get_product, who=Who.ANYONE, refuses=(NoSuchProduct,)),
    patch(
        "/products/{id}",
        products.edit_product,
        who=Who.SIGNED_IN,
        of=SELLER,
        refuses=(*TRADER, NoSuchProduct, WrongState),
    ),
    delete(
        "/products/{id}", products.delete_product, who=Who.SIGNED_IN, of=SELLER, refuses=(NoSuchProduct, WrongState)
    ),
    get("/profile/{wallet}", profiles.get_profile, who=Who.ANYONE, refuses=(NoSuchProfile,), cached=PROFILES),
    get("/profile/{wallet}/reviews", reviews.list_reviews, who=Who.ANYONE, refuses=(NoSuchProfile,)),
    patch("/profile", profiles.edit_profile, who=Who.SIGNED_IN, of=OWN, refuses=(SignInAgain,)),
    get("/orders", trades.list_orders, who=Who.SIGNED_IN, of=OWN),
    post(
        "/orders",
        orders.prepare_order,
        who=Who.SIGNED_IN,
        of=OWN,
        status=201,
        needs_key=True,
        before=orders.read_terms,
        refuses=(*TRADER, NoSuchProduct, OwnProduct, WrongState, OutOfStock, NewSellerAmount, NewSellerOrders),
    ),
    get("/orders/{id}", trades.get_order, who=Who.SIGNED_IN, of=PARTIES_AND_ARBITRATOR, refuses=(NoSuchOrder,)),
    post(
        "/orders/{id}/delivery",
        trades.deliver,
        who=Who.SIGNED_IN,
        of=SELLER,
        refuses=(*TRADER, NoSuchOrder, WrongState, TooLate, BuyerHasNoKey, KeyRotated),
    ),
    post(
        "/orders/{id}/confirm", trades.confirm_receipt, who=Who.SIGNED_IN, of=BUYER, refuses=(NoSuchOrder, WrongState)
    ),
    post("/orders/{id}/cancel", trades.cancel_order, who=Who.SIGNED_IN, of=PARTIES, refuses=(NoSuchOrder, WrongState)),
    post(
        "/orders/{id}/reviews",
        reviews.add_review,
        who=Who.SIGNED_IN,
        of=PARTIES,
        status=201,
        refuses=(NoSuchOrder, WrongState, AlreadyReviewed),
    ),
    get(
        "/orders/{id}/messages",
        messages.list_messages,
        who=Who.SIGNED_IN,
        of=PARTIES_AND_ARBITRATOR,
        refuses=(NoSuchOrder,),
    ),
    post(
        "/orders/{id}/messages",
        messages.send_message,
        who=Who.SIGNED_IN,
        of=PARTIES_AND_ARBITRATOR,
        status=201,
        refuses=(NoSuchOrder,),
    ),
    get(
        "/orders/{id}/outcomes",
        outcomes.list_outcomes,
        who=Who.SIGNED_IN,
        of=PARTIES_AND_ARBITRATOR,
        refuses=(NoSuchOrder,),
    ),
    get(
        "/disputes/{order_id}",
        disputes.get_dispute,
        who=Who.SIGNED_IN,
        of=PARTIES_AND_ARBITRATOR,
        refuses=(NoSuchDispute,),
    ),
    post(
        "/disputes/{order_id}",
        disputes.open_dispute,
        who=Who.SIGNED_IN,
        of=PARTIES,
        refuses=(NoSuchOrder, WrongState, TooLate),
    ),
    post(
        "/disputes/{order_id}/draw",
        disputes.draw_arbitrator,
        who=Who.SIGNED_IN,
        of=PARTIES,
        refuses=(NoSuchOrder, WrongState, TooLate, ArbitratorAtWork, DrawTooEarly),
    ),
    post(
        "/disputes/{order_id}/ruling",
        disputes.rule,
        who=Who.SIGNED_IN,
        of=ARBITRATOR,
        refuses=(NoSuchOrder, WrongState, TooLate, ArbitratorConflicted),
    ),
    post(
        "/disputes/{order_id}/evidence",
        evidence.submit_evidence,
        who=Who.SIGNED_IN,
        of=PARTIES,
        status=201,
        body_limit=MOST_BODY,
        refuses=(NoSuchOrder, WrongState, TooLate, NoArbitratorYet, TooMuchEvidence),
    ),
    get(
        "/disputes/{order_id}/evidence/{cid}",
        evidence.get_evidence,
        who=Who.SIGNED_IN,
        of=PARTIES_AND_ARBITRATOR,
        refuses=(NoSuchOrder, NoSuchEvidence),
    ),
    stream("/live", live.watch_orders, who=Who.SIGNED_IN, of=OWN, frames=FRAMES),
    stream(
        "/orders/{id}/live",
        live.watch_order,
        who=Who.SIGNED_IN,
        of=PARTIES_AND_ARBITRATOR,
        frames=FRAMES,
        refuses=(NoSuchOrder,),
    ),
    get("/arbitrators", arbitrators.list_arbitrators, who=Who.ANYONE, cached=ARBITRATORS),
    get("/admin/stats/daily", stats.daily_stats, who=Who.OPERATOR),
    get("/admin/blacklist", blacklist.list_blacklist, who=Who.OPERATOR),
    post("/admin/blacklist", blacklist.ban_wallet, who=Who.OPERATOR, status=201, refuses=(AlreadyBlacklisted,)),
    delete("/admin/blacklist/{wallet}", blacklist.pardon_wallet, who=Who.OPERATOR, refuses=(NotBlacklisted,)),
)
