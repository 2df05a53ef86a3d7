"""The alert rules: what is measured, from which value on it is wrong, for how long, and who is told."""

import msgspec

from entrepot.kernel.settings import BadSettings, Settings

EVERYBODY = ("webhook", "email")


class Rule(msgspec.Struct, frozen=True):
    """Fires when the measure of that name is above the threshold for `hold` seconds, and resolves when it is not."""

    name: str
    what: str
    threshold: float
    hold: float
    mend: str
    tell: tuple[str, ...] = EVERYBODY


RULES = (
    Rule("pool", "share of a process's connections that are in use", 0.9, 60, "entrepot doctor"),
    Rule("latency", "p95 of statements, in milliseconds", 200, 300, "docs/operations/runaway-query.md"),
    Rule("slow", "share of statements that take over 200 ms", 0.05, 300, "docs/operations/runaway-query.md"),
    Rule("transaction", "age of a transaction, in seconds", 300, 0, "docs/operations/runaway-query.md"),
    Rule("lock", "wait for a lock, in seconds", 30, 0, "docs/operations/runaway-query.md"),
    Rule("lag", "lag of a replica, in seconds", 60, 60, "entrepot doctor"),
    Rule("replica", "whether a replica cannot be read", 0, 120, "docs/operations/replica-rebuild.md"),
    Rule("backup", "faults in the proofs of backups", 0, 0, "entrepot backup verify"),
    Rule("wal", "how far an archive of the WAL is behind, in seconds", 300, 120, "docs/operations/wal-archive.md"),
    Rule("archive", "whether the last run of retention failed", 0, 0, "entrepot task run core.retention"),
    Rule("task", "whether the last run of a task failed", 0, 0, "entrepot task run ITS_NAME"),
    Rule("mirror", "blocks between a contract's mirror and its chain's head", 50, 120, "entrepot chain status"),
    Rule("chain", "whether a chain does not answer", 0, 120, "entrepot chain status"),
    Rule("queue", "age of the oldest thing that waits, in seconds", 900, 120, "entrepot doctor"),
    Rule("partition", "whether a partition is missing that will be needed", 0, 0, "entrepot migrate up"),
)


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """The rules as this installation has them; raises `BadSettings` where it names one that is not there."""
    known = {rule.name for rule in RULES}
    if unknown := sorted(set(settings.alerts) - known):
        raise BadSettings(f"ENTREPOT_ALERTS: there is no rule {unknown[0]!r} (there are: {', '.join(sorted(known))})")
    return tuple(_changed(rule, settings) for rule in RULES)


def _changed(rule: Rule, settings: Settings) -> Rule:
    change = settings.alerts.get(rule.name)
    if change is None:
        return rule
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not None}
    return msgspec.structs.replace(rule, **given)
