"""The declaration of escrow."""

from datetime import timedelta

from entrepot.apps.escrow.caches import ARBITRATORS, PRODUCT_LISTS, PROFILES
from entrepot.apps.escrow.invariants import INVARIANTS
from entrepot.apps.escrow.model import ORDER, PRODUCT
from entrepot.apps.escrow.operations.profiles import on_sign_in
from entrepot.apps.escrow.routes import ROUTES
from entrepot.apps.escrow.store.search import Samples
from entrepot.apps.escrow.tasks import SERVICES, TASKS
from entrepot.kernel.app import App, Expire, Keep

ENDED = "('completed', 'resolved_buyer', 'resolved_seller', 'cancelled', 'expired')"

APP = App(
    name="escrow",
    tables="entrepot.apps.escrow.tables:METADATA",
    routes=ROUTES,
    on_sign_in=on_sign_in,
    keeps=(Samples,),
    tasks=TASKS,
    services=SERVICES,
    contracts=("P2PEscrow", "ArbitratorPool"),
    held="SELECT count(*) FROM escrow.orders WHERE chain = :chain AND onchain_order_id > 0",
    machines={"orders.status": ORDER, "products.status": PRODUCT},
    invariants=INVARIANTS,
    caches=(PRODUCT_LISTS, PROFILES, ARBITRATORS),
    append_only=frozenset({"contract_events", "evidence_uploads", "public_keys", "reviews", "words"}),
    retention={
        "user_profiles": Keep("A wallet's reputation stands on its whole history."),
        "public_keys": Keep("Old messages stay attributable."),
        "products": Expire(timedelta(days=90), "deleted_at", "status = 'deleted'"),
        "words": Keep("There are few, and a word comes back."),
        "reservations": Expire(timedelta(days=30), "expires_at", archive=False),
        "orders": Keep("The mirror of the contract."),
        "messages": Expire(
            timedelta(days=365),
            "created_at",
            f"order_id IN (SELECT id FROM escrow.orders WHERE status IN {ENDED}"
            " AND updated_at < now() - interval '1 year')",
        ),
        "reviews": Keep("Ratings are computed from them."),
        "arbitrators": Keep("The mirror of the pools."),
        "pool_members": Keep("The mirror of each pool."),
        "dispute_evidence": Keep("What a ruling went by."),
        "evidence_uploads": Keep("What a ruling went by."),
        "blacklist": Keep("It is taken back by hand only."),
        "event_sync_cursor": Keep("One row for each contract."),
        "contract_events": Keep("Orders are folded from them."),
    },
)
