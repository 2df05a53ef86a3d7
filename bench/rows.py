"""Generates the profiles and products of the sample market as CSV lines, the same for the same seed."""

import hashlib
import random
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from eth_utils.address import to_checksum_address

from bench.words import PLANNED, TITLE_HEADS, TITLE_NOUNS, vocabulary, weights

VERSION = 1
END = datetime(2026, 11, 1, tzinfo=UTC)
START = END - timedelta(days=730)
CATEGORIES = ("data", "accounts", "tools", "services", "other")
STATUSES = ("active", "paused", "sold_out", "deleted")


@dataclass(frozen=True)
class Size:
    """How many rows each table gets."""

    profiles: int = 50_000
    products: int = 1_000_000
    orders: int = 2_000_000
    messages: int = 10_000_000
    seed: int = 20261101

    @classmethod
    def scaled(cls, factor: float) -> "Size":
        """A smaller market for a quick trial; planned words then keep their counts only as far as rows allow."""
        full = cls()
        return cls(*(int(n * factor) for n in (full.profiles, full.products, full.orders, full.messages)))


def wallets(size: Size) -> list[str]:
    """Checksum addresses, one for each profile."""
    rng = random.Random(size.seed)
    return [to_checksum_address(f"0x{rng.getrandbits(160):040x}") for _ in range(size.profiles)]


def profiles(size: Size) -> Iterator[bytes]:
    """Rows of user_profiles: one in 200 blacklisted, a long tail of trades, ratings about 4.3."""
    rng = random.Random(size.seed + 1)
    for n, wallet in enumerate(wallets(size)):
        sold, bought = int(rng.paretovariate(0.9)) % 3000, int(rng.paretovariate(1.1)) % 500
        rating = f"{min(5.0, max(1.0, rng.gauss(4.3, 0.5))):.2f}" if sold else ""
        trades = sold + bought
        tier = "new" if trades < 10 else "trusted" if trades >= 100 and rating >= "4" else "standard"
        joined = (START - timedelta(days=1) + (END - START) * (n / size.profiles)).isoformat()
        key = b64encode(hashlib.sha256(wallet.encode()).digest()).decode()
        name = f"Trader {n}" if n % 3 else ""
        listed = "t" if n % 200 == 17 else "f"
        line = (wallet, name, key, f"{trades * 0.9:.2f}", trades, bought, sold, rating, tier, listed, joined, joined)
        yield (",".join(map(str, line)) + "\n").encode()


def placements(size: Size, statuses: list[str]) -> dict[int, list[str]]:
    """Which active product holds which planned words."""
    rng = random.Random(size.seed + 2)
    active = [n for n, status in enumerate(statuses) if status == "active"]
    found: dict[int, list[str]] = {}
    for word in PLANNED:
        among = active[: len(active) // 4] if word.stale else active
        for n in rng.sample(among, min(word.hits, len(among))):
            found.setdefault(n, []).append(word.text)
    return found


def made_uuid(moment: datetime, rng: random.Random) -> str:
    """A version 7 UUID of that moment, its random part from the seeded generator."""
    tail = rng.getrandbits(62)
    text = f"{int(moment.timestamp() * 1000):012x}7{rng.getrandbits(12):03x}{0x8000000000000000 | tail:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def products(size: Size) -> Iterator[bytes]:
    """Rows of products in order of creation, one in ten (as if updated since) shuffled to the end of the table."""
    rng = random.Random(size.seed + 3)
    statuses = rng.choices(STATUSES, weights=(80, 8, 7, 5), k=size.products)
    planned = placements(size, statuses)
    sellers, words = wallets(size), vocabulary()
    sums, step = weights(len(words)), (END - START) / size.products
    moved: list[bytes] = []
    for n, status in enumerate(statuses):
        created = START + step * (n + rng.random())
        text = rng.choices(words, cum_weights=sums, k=rng.randint(12, 48))
        for word in planned.get(n, ()):
            text.insert(rng.randrange(min(len(text), 24)), word)
        title = f"{TITLE_HEADS[n % 11]} {text[0]} {text[1]} {TITLE_NOUNS[n % 13]}"[:100]
        line = (
            made_uuid(created, rng),
            sellers[int(size.profiles * rng.random() ** 2)],
            title.capitalize(),
            " ".join(text[2:])[:500].capitalize() if n not in planned else " ".join(text)[:500].capitalize(),
            rng.choices(CATEGORIES, weights=(35, 20, 20, 15, 10))[0],
            f"{max(1.0, min(99_999.0, rng.lognormvariate(3.2, 1.3))):.2f}",
            0 if status == "sold_out" else int(rng.paretovariate(1.2)) % 500 + 1,
            int(rng.paretovariate(0.9)) % 5000 - 1 if rng.random() < 0.6 else 0,
            f"0x{rng.getrandbits(256):064x}",
            status,
            created.isoformat(),
            created.isoformat(),
            created.isoformat() if status == "deleted" else "",
        )
        encoded = (",".join(map(str, line)) + "\n").encode()
        if n % 10 == 3:
            moved.append(encoded)
        else:
            yield encoded
    rng.shuffle(moved)
    yield from moved
