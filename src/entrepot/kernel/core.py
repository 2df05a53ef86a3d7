"""The kernel's own declaration: the routes, tables and tasks that every house has."""

from datetime import timedelta

from entrepot.kernel.app import App, Expire, Keep, Partitioned, Period
from entrepot.kernel.http.idempotency import purge_keys
from entrepot.kernel.identity.operations import purge_sign_ins
from entrepot.kernel.identity.routes import ROUTES
from entrepot.kernel.invariants import INVARIANTS
from entrepot.kernel.monitor import routes as monitor
from entrepot.kernel.monitor.evaluate import evaluate
from entrepot.kernel.monitor.maintenance import every_day
from entrepot.kernel.monitor.statements import Statements
from entrepot.kernel.upkeep import routes as upkeep
from entrepot.kernel.upkeep.archive.model import ARCHIVE
from entrepot.kernel.upkeep.backup import wal, work
from entrepot.kernel.upkeep.partitions import keep_ahead
from entrepot.kernel.upkeep.retention import run_every_day
from entrepot.kernel.work.cron import purge_ticks
from entrepot.kernel.work.outbox import purge_expired, purge_outbox
from entrepot.kernel.work.task import Service, Task

PASSING = "Only what is still valid is kept; a task removes the rest every hour."

CORE = App(
    name="core",
    prefix="",
    tables="entrepot.kernel.tables:METADATA",
    routes=(*ROUTES, *upkeep.ROUTES, *monitor.ROUTES),
    keeps=(Statements,),
    tasks=(
        Task(name="core.purge_sign_ins", cron="7 * * * *", run=purge_sign_ins),
        Task(name="core.purge_keys", cron="17 * * * *", run=purge_keys),
        Task(name="core.purge_ticks", cron="27 * * * *", run=purge_ticks),
        Task(name="core.purge_outbox", cron="*/10 * * * *", run=purge_outbox),
        Task(name="core.purge_expired", cron="* * * * *", run=purge_expired),
        Task(name="core.keep_partitions_ahead", cron="37 * * * *", run=keep_ahead),
        Task(name="core.retention", cron="0 2 * * *", run=run_every_day),
        Task(name="core.monitor", cron="* * * * *", run=evaluate),
        Task(name="core.maintain", cron="0 4 * * *", run=every_day),
        Task(name="core.backup", cron="0 * * * *", run=work.hourly),
        Task(name="core.prove_backup", cron="0 3 * * *", run=work.weekly),
    ),
    services=(Service(name="core.wal", run=wal.archive, over=wal.over),),
    invariants=INVARIANTS,
    machines={"archives.state": ARCHIVE},
    partitions={
        "system_metrics": Partitioned(
            table="system_metrics", key="timestamp", period=Period.MONTH, horizon=timedelta(days=92)
        ),
    },
    append_only=frozenset({"backup_proofs", "backups", "system_metrics"}),
    retention={
        "sessions": Keep(PASSING),
        "sign_in_nonces": Keep(PASSING),
        "idempotency_keys": Expire(timedelta(days=7), "created_at", archive=False),
        "cron_ticks": Expire(timedelta(days=30), "started_at", archive=False),
        "archives": Keep("The ledger of what left the database."),
        "system_metrics": Expire(timedelta(days=90), "timestamp", cold=timedelta(days=365)),
        "outbox": Expire(timedelta(hours=24), "created_at", archive=False),
        "outbox_floor": Keep("One row."),
        "leases": Keep("One row for each thing that is leased."),
        "contracts": Keep("One row for each contract."),
        "chain_accounts": Keep("One row for each sending account."),
        "chain_transactions": Keep("What this server signed is never forgotten."),
        "secrets": Keep("A secret leaves only when an operator removes it."),
        "backups": Keep("The ledger of what was made."),
        "backup_proofs": Keep("The ledger of what was proven."),
        "incidents": Keep("How well the market ran; few."),
        "notices": Keep("Who was told of an incident; few."),
    },
)
