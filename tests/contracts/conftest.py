"""One market for all contract tests; each test finds it as it was opened."""

from collections.abc import Iterator

import boa
import boa.interpret
import chain
import market as markets
import pytest

boa.interpret.set_search_paths([str(markets.CONTRACTS)])


@pytest.fixture(scope="session")
def opened() -> markets.Market:
    chain.move(seconds=1_000, blocks=1_000)
    return markets.open_market()


@pytest.fixture
def market(opened: markets.Market) -> Iterator[markets.Market]:
    with boa.env.anchor():
        yield opened
