"""The markets of all contract tests; each test finds them as they were opened."""

from collections.abc import Iterator

import boa
import boa.interpret
import chain
import market as markets
import pytest

boa.interpret.set_search_paths([str(markets.CONTRACTS)])


@pytest.fixture(scope="session")
def begun() -> None:
    chain.move(seconds=1_000, blocks=1_000)


@pytest.fixture(scope="session")
def opened(begun: None) -> markets.Market:
    return markets.open_market()


@pytest.fixture(scope="session")
def opened_staked(begun: None) -> markets.Market:
    return markets.open_staked_market()


@pytest.fixture
def market(opened: markets.Market) -> Iterator[markets.Market]:
    with boa.env.anchor():
        yield opened


@pytest.fixture
def staked(opened_staked: markets.Market) -> Iterator[markets.Market]:
    with boa.env.anchor():
        yield opened_staked
