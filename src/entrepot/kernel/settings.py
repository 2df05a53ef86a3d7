"""Settings: one frozen struct, read from the environment, each with its default and what it means."""

import base64
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import platformdirs

from entrepot.kernel.values import read_value
from entrepot.kernel.vault import KEY_BYTES
from entrepot.kernel.wallet import Wallet

LISTS = ("operators", "apps")
PLAIN = ("database_url", "database_owner_url", "database_direct_url", "database_read_replica_url")


class BadSettings(Exception):
    """A setting cannot be used; the message names it and says what to do."""


class ChainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One EVM chain: its name in this market, its id, where to ask, and how deep a block is called settled."""

    name: str
    chain_id: Annotated[int, msgspec.Meta(gt=0)]
    endpoints: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    confirmations: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 12


Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting. The environment variable is ENTREPOT_ and the name in capitals; `database_*` have no prefix."""

    home: Path = msgspec.field(default_factory=lambda: Path(platformdirs.user_data_dir("entrepot")))
    """Where the embedded database, its keys and the object store live."""
    apps: tuple[str, ...] = ()
    """The applications to turn on, by name and comma; empty means all."""

    database_url: str = ""
    """The server role's PostgreSQL (>= 15); empty means embedded."""
    database_owner_url: str = ""
    """The owner's, for migrations; empty means `database_url`."""
    database_direct_url: str = ""
    """An address without a transaction pooler, for LISTEN and advisory locks; empty means `database_owner_url`."""
    database_read_replica_url: str = ""
    """A streaming replica for the reads that allow it."""
    server_role: str = "entrepot_server"
    """The role that the migrations grant the server's rights to."""
    pool_size: Count = 20
    pool_overflow: Annotated[int, msgspec.Meta(ge=0)] = 10
    pool_timeout: Annotated[float, msgspec.Meta(gt=0)] = 30.0
    """Seconds to wait for a connection."""
    pool_recycle: Annotated[float, msgspec.Meta(gt=0)] = 1800.0
    """Seconds after which a connection is made anew."""
    pool_pre_ping: bool = True
    """Try a connection that lay idle before it is handed out."""
    statement_cache: Annotated[int, msgspec.Meta(ge=0)] = 1024
    """Prepared statements per connection; 0 behind PgBouncer in transaction mode."""

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    workers: Count = 1
    domain: str = "localhost"
    """The domain that a sign-in message must name (EIP-4361); never taken from the Host header."""
    public_url: str = "http://localhost:8080"
    """The URI that a sign-in message must name."""
    trusted_proxies: Annotated[int, msgspec.Meta(ge=0)] = 0
    """How many proxies in front append to X-Forwarded-For."""
    session_hours: Count = 168
    operators: tuple[Wallet, ...] = ()
    """The wallets that may do what operators may, by comma."""
    reads_per_minute: Count = 600
    writes_per_minute: Count = 120
    sign_ins_per_minute: Count = 20
    body_limit: Count = 262_144
    """The largest request body, in bytes."""

    chains: tuple[ChainSettings, ...] = ()
    """A JSON list of {name, chain_id, endpoints, confirmations}."""
    vault_keys: dict[str, str] = msgspec.field(default_factory=dict)
    """JSON {id: base64 of 32 bytes}; the last seals. Empty: a key file under `home` is made and used."""
    objects_url: str = ""
    """Where objects are kept (file://, s3://, gs://, az://); empty means a folder under `home`."""

    @property
    def vault_key_bytes(self) -> dict[str, bytes]:
        """The vault's keys, decoded."""
        return {name: base64.b64decode(text, validate=True) for name, text in self.vault_keys.items()}

    def chain(self, name: str) -> ChainSettings:
        """The chain of that name; raises `BadSettings`."""
        for chain in self.chains:
            if chain.name == name:
                return chain
        known = ", ".join(chain.name for chain in self.chains) or "none"
        raise BadSettings(f"chain {name!r} is not in ENTREPOT_CHAINS (known: {known})")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return name.upper() if name in PLAIN else f"ENTREPOT_{name.upper()}"


def _value(name: str, text: str) -> Any:
    if name in LISTS:
        return [part.strip() for part in text.split(",") if part.strip()]
    if name in ("chains", "vault_keys"):
        return msgspec.json.decode(text)
    return text


def _hook(kind: type, given: object) -> Any:
    return Path(str(given)).expanduser() if issubclass(kind, Path) else read_value(kind, given)


def load(environment: Mapping[str, str] = os.environ, **overrides: Any) -> Settings:
    """Settings from the environment; raises `BadSettings` naming the variable that cannot be used."""
    given: dict[str, Any] = dict(overrides)
    for name in Settings.__struct_fields__:
        text = environment.get(variable(name))
        if name in given or not text:
            continue
        try:
            given[name] = _value(name, text)
        except msgspec.DecodeError as error:
            raise BadSettings(f"{variable(name)} is not JSON: {error}") from None
    try:
        settings = msgspec.convert(given, Settings, strict=False, dec_hook=_hook)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `$.")
        field = path.rstrip("`").split(".")[0].split("[")[0]
        raise BadSettings(f"{variable(field) if field else 'settings'}: {reason}") from None
    for name, wrong in _faults(settings):
        raise BadSettings(f"{variable(name)}: {wrong}")
    return settings


def _faults(settings: Settings) -> Iterator[tuple[str, str]]:
    """What no type can say of a setting: its name and what is wrong. No value is shown, as some are secret."""
    for name in PLAIN:
        if (url := getattr(settings, name)) and urlsplit(url).scheme not in ("postgresql", "postgres"):
            yield name, "must be a postgresql:// address"
    if len({chain.name for chain in settings.chains}) != len(settings.chains):
        yield "chains", "two chains have the same name"
    try:
        short = [name for name, key in settings.vault_key_bytes.items() if len(key) != KEY_BYTES]
    except ValueError:
        yield "vault_keys", "a key is not base64"
    else:
        if short:
            yield "vault_keys", f"key {short[0]!r} must be {KEY_BYTES} bytes"
