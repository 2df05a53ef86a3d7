"""Settings come from the environment, and a bad one names its variable."""

import base64
from pathlib import Path

import pytest

from entrepot.kernel.settings import BadSettings, Settings, load, variable

WALLET = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
CHAIN = '{"name": "local", "chain_id": 31337, "endpoints": ["http://localhost:8545"]}'
KEY = base64.b64encode(bytes(32)).decode()


def test_nothing_is_needed() -> None:
    settings = load({})
    assert settings.pool_size + settings.pool_overflow == 30
    assert settings.pool_timeout == 30
    assert settings.pool_recycle == 1800
    assert settings.pool_pre_ping


def test_every_setting_is_read_from_its_variable() -> None:
    settings = load(
        {
            "ENTREPOT_HOME": "~/market",
            "ENTREPOT_APPS": "escrow, agents,",
            "DATABASE_URL": "postgresql://localhost/market",
            "ENTREPOT_PORT": "9000",
            "ENTREPOT_POOL_PRE_PING": "false",
            "ENTREPOT_OPERATORS": f"{WALLET.lower()}",
            "ENTREPOT_CHAINS": f"[{CHAIN}]",
            "ENTREPOT_VAULT_KEYS": f'{{"k1": "{KEY}"}}',
        }
    )
    assert settings.home == Path.home() / "market"
    assert settings.apps == ("escrow", "agents")
    assert settings.database_url == "postgresql://localhost/market"
    assert settings.port == 9000
    assert not settings.pool_pre_ping
    assert settings.operators == (WALLET,)
    assert settings.chain("local").chain_id == 31337
    assert settings.vault_key_bytes == {"k1": bytes(32)}


def test_an_override_wins_and_an_empty_variable_is_none() -> None:
    assert load({"ENTREPOT_PORT": "9000"}, port=1).port == 1
    assert load({"ENTREPOT_PORT": ""}).port == Settings().port


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ENTREPOT_PORT", "70000"),
        ("ENTREPOT_PORT", "eighty"),
        ("ENTREPOT_POOL_SIZE", "0"),
        ("ENTREPOT_POOL_TIMEOUT", "-1"),
        ("ENTREPOT_POOL_PRE_PING", "perhaps"),
        ("ENTREPOT_OPERATORS", "0x123"),
        ("ENTREPOT_OPERATORS", WALLET.replace("a", "A")),
        ("ENTREPOT_CHAINS", "local"),
        ("ENTREPOT_CHAINS", '[{"name": "local"}]'),
        ("ENTREPOT_CHAINS", CHAIN),
        ("ENTREPOT_CHAINS", f"[{CHAIN.replace('31337', '0')}]"),
        ("ENTREPOT_CHAINS", f"[{CHAIN}, {CHAIN}]"),
        ("ENTREPOT_VAULT_KEYS", '{"k1": 1}'),
        ("ENTREPOT_VAULT_KEYS", '{"k1": "c2hvcnQ="}'),
        ("ENTREPOT_VAULT_KEYS", '{"k1": "%%%"}'),
        ("DATABASE_URL", "mysql://localhost/market"),
    ],
)
def test_a_bad_one_names_its_variable(name: str, text: str) -> None:
    with pytest.raises(BadSettings, match=f"^{name}\\b"):
        load({name: text})


def test_a_bad_secret_is_not_shown() -> None:
    with pytest.raises(BadSettings) as caught:
        load({"ENTREPOT_VAULT_KEYS": '{"k1": "c2hvcnQ="}'})
    assert "c2hvcnQ=" not in str(caught.value)


def test_an_unknown_chain_tells_which_are_known() -> None:
    with pytest.raises(BadSettings, match=r"'moon' is not in ENTREPOT_CHAINS \(known: local\)"):
        load({"ENTREPOT_CHAINS": f"[{CHAIN}]"}).chain("moon")


def test_every_variable_has_a_name_of_its_own() -> None:
    names = [variable(name) for name in Settings.__struct_fields__]
    assert len(names) == len(set(names))
    assert "DATABASE_URL" in names
    assert "ENTREPOT_HOME" in names
