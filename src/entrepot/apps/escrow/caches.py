"""The answers of escrow that may be kept, with the times of the reference; their writers have them forgotten."""

from datetime import timedelta

from entrepot.kernel.cache.kind import Cached

PRODUCT_LISTS = Cached(name="escrow.products", ttl=timedelta(seconds=30))
PROFILES = Cached(name="escrow.profiles", ttl=timedelta(minutes=5), about="wallet")
ARBITRATORS = Cached(name="escrow.arbitrators", ttl=timedelta(minutes=1))
