"""Settings: one frozen struct, read from the environment, each with its default and what it means."""

import base64
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec
import platformdirs

from entrepot.kernel.values import read_value
from entrepot.kernel.vault import KEY_BYTES
from entrepot.kernel.wallet import Wallet

LISTS = ("operators", "apps", "alert_webhooks", "alert_emails")
KEYS = ("vault_keys", "backup_keys")
PLAIN = (
    "database_url",
    "database_owner_url",
    "database_direct_url",
    "database_read_replica_url",
    "database_backup_url",
)


WITHOUT_PREFIX = (*PLAIN, "redis_url")
SCHEMES = {
    "ipfs_api": ("http", "https"),
    "smtp_url": ("smtp", "smtps"),
    "redis_url": ("redis", "rediss", "unix"),
    **dict.fromkeys(PLAIN, ("postgresql", "postgres")),
}

ADDRESSES = re.compile(r",(?=\s*postgres(?:ql)?://)")


class BadSettings(Exception):
    """A setting cannot be used; the message names it and says what to do."""


class ChainSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One EVM chain: its name in this market, its id, where to ask, and how deep a block is called settled."""

    name: str
    chain_id: Annotated[int, msgspec.Meta(gt=0)]
    endpoints: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    confirmations: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 12


class AlertSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be otherwise in one alert rule; what is not given stays as the rule has it."""

    threshold: float | None = None
    hold: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """Seconds that it must last before somebody is told."""
    tell: tuple[Literal["webhook", "email"], ...] | None = None


Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every setting. The environment variable is ENTREPOT_ and the name in capitals.

    `database_*` and `redis_url` have no prefix.
    """

    home: Path = msgspec.field(default_factory=lambda: Path(platformdirs.user_data_dir("entrepot")))
    """Where the embedded database, its keys and the object store live."""
    apps: tuple[str, ...] = ()
    """The applications to turn on, by name and comma; empty means all."""

    database_url: str = ""
    """The server role's PostgreSQL (>= 15); empty means embedded."""
    database_owner_url: str = ""
    """The owner's, for migrations; empty means `database_url`."""
    database_direct_url: str = ""
    """The server role's without a transaction pooler, for LISTEN; empty means `database_url`."""
    database_read_replica_url: str = ""
    """Streaming replicas for the reads that allow it, by comma, each at its own address and not behind a pooler."""
    database_backup_url: str = ""
    """A role that may replicate, without a transaction pooler, for backups; empty means `database_owner_url`."""
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
    messages_per_minute: Count = 1_200
    """Messages from one address, however many wallets write from there."""
    messages_per_second: Count = 20
    """Messages of one wallet, for a minute on end."""
    groups_per_day: Count = 50
    """Groups that one wallet may make within a day."""
    body_limit: Count = 262_144
    """The largest request body, in bytes."""
    body_timeout: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """Seconds in which a request body must be there: 2 MiB of evidence in that time are 280 kbit/s."""
    live_heartbeat: Annotated[float, msgspec.Meta(gt=0)] = 20.0
    """Seconds between two beats of a live stream, at which its session is looked at too."""
    live_streams: Count = 32
    """Live streams of one wallet, in each server process."""

    cache_bytes: Annotated[int, msgspec.Meta(ge=0)] = 67_108_864
    """What answers that are kept may take of each server process, about; 0 keeps none, in Redis neither."""
    cache_loads: Count = 10
    """How many answers that are not at hand a server process asks the database for at a time."""
    redis_url: str = ""
    """A Redis (redis://, rediss://, unix://) in which server processes share the answers that they keep."""
    redis_timeout: Annotated[float, msgspec.Meta(gt=0)] = 0.05
    """Seconds after which the database is asked instead."""

    chains: tuple[ChainSettings, ...] = ()
    """A JSON list of {name, chain_id, endpoints, confirmations}."""
    vault_keys: dict[str, str] = msgspec.field(default_factory=dict)
    """JSON {id: base64 of 32 bytes}; the last seals. Empty: a key file under `home` is made and used."""
    objects_url: str = ""
    """Where objects are kept (file://, s3://, gs://, az://); empty means a folder under `home`."""
    archives_url: str = ""
    """Where rows go that retention takes out of the database; as `objects_url`, and best another place."""
    retention_needs_backup: bool = True
    """Rows leave only when a proven backup covers them; false is for an installation that makes no backups."""
    retention_days: dict[str, Count] = msgspec.field(default_factory=dict)
    """JSON {app.table: days}: how long rows stay in a table, where that is to be otherwise than its app declares."""
    ipfs_api: str = ""
    """The RPC address of a Kubo node that keeps the objects instead."""

    backup_url: str = ""
    """Where backups and WAL are kept (file://, s3://, gs://, az://). Empty: none by themselves; those made by hand are
    in a folder under `home`."""
    backup_keys: dict[str, str] = msgspec.field(default_factory=dict)
    """JSON {id: base64 of 32 bytes}; the last seals what is kept from now on. Empty: backups are not sealed."""
    backup_hour: Annotated[int, msgspec.Meta(ge=0, le=23)] = 1
    """The hour, in UTC, of the daily full backup."""
    backup_hourly: bool = False
    """Make an incremental backup at every other hour."""
    backup_dailies: Count = 7
    """How many full backups are kept at least."""
    backup_window: Count = 7
    """The days back to every moment of which the database can be restored."""
    backup_proof_limit: Count = 8
    """The days after which the last proof of a backup is too old."""
    alerts: dict[str, AlertSettings] = msgspec.field(default_factory=dict)
    """JSON {rule: {threshold, hold, tell}}: what is to be otherwise than in kernel/monitor/rules.py."""
    alert_webhooks: tuple[str, ...] = ()
    """Where alerts are posted, by comma; signed as standardwebhooks.com says."""
    alert_webhook_secret: str = ""
    """The key of the signature, base64, with or without `whsec_` in front."""
    alert_emails: tuple[str, ...] = ()
    """Who gets alerts by mail, by comma."""
    alert_sender: str = "entrepot@localhost"
    """From whom those mails are."""
    smtp_url: str = "smtp://localhost:25"
    """The mail server: smtp://user:password@host:port (STARTTLS where it is offered), or smtps://."""
    metrics_token: str = ""
    """The bearer token of /metrics; empty: it answers on this machine only, and nobody through a proxy."""

    postgres_programs: str = ""
    """The folder of pg_basebackup and its like, of the server's own major version; empty means to look for it."""

    @property
    def vault_key_bytes(self) -> dict[str, bytes]:
        """The vault's keys, decoded."""
        return {name: base64.b64decode(text, validate=True) for name, text in self.vault_keys.items()}

    @property
    def backup_key_bytes(self) -> dict[str, bytes]:
        """The backups' keys, decoded."""
        return {name: base64.b64decode(text, validate=True) for name, text in self.backup_keys.items()}

    @property
    def is_secure(self) -> bool:
        """Whether the site is served under https, so that cookies are to travel by nothing else."""
        return urlsplit(self.public_url).scheme == "https"

    @property
    def replica_urls(self) -> tuple[str, ...]:
        """Each replica's. An address may have commas of its own, between hosts."""
        return tuple(url.strip() for url in ADDRESSES.split(self.database_read_replica_url) if url.strip())

    def chain(self, name: str) -> ChainSettings:
        """The chain of that name; raises `BadSettings`."""
        for chain in self.chains:
            if chain.name == name:
                return chain
        known = ", ".join(chain.name for chain in self.chains) or "none"
        raise BadSettings(f"chain {name!r} is not in ENTREPOT_CHAINS (known: {known})")


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return name.upper() if name in WITHOUT_PREFIX else f"ENTREPOT_{name.upper()}"


def _value(name: str, text: str) -> Any:
    if name in LISTS:
        return [part.strip() for part in text.split(",") if part.strip()]
    if name in ("chains", "alerts", "retention_days", *KEYS):
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
    if settings.ipfs_api and settings.objects_url:
        yield "ipfs_api", "objects are kept in one place: leave out ENTREPOT_OBJECTS_URL"
    if settings.alert_webhooks and not settings.alert_webhook_secret:
        yield "alert_webhook_secret", "is needed for ENTREPOT_ALERT_WEBHOOKS"
    for name, schemes in SCHEMES.items():
        if (url := getattr(settings, name)) and urlsplit(url).scheme not in schemes:
            yield name, f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}"
    if len({chain.name for chain in settings.chains}) != len(settings.chains):
        yield "chains", "two chains have the same name"
    for name in KEYS:
        try:
            keys = {each: base64.b64decode(text, validate=True) for each, text in getattr(settings, name).items()}
        except ValueError:
            yield name, "a key is not base64"
            continue
        for each, key in keys.items():
            if len(key) != KEY_BYTES:
                yield name, f"key {each!r} must be {KEY_BYTES} bytes"
