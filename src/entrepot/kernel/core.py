"""The kernel's own declaration: the routes, tables and tasks that every house has."""

from datetime import timedelta

from entrepot.kernel.app import App, Expire, Keep
from entrepot.kernel.http.idempotency import purge_keys
from entrepot.kernel.identity.operations import purge_sign_ins
from entrepot.kernel.identity.routes import ROUTES
from entrepot.kernel.tables import METADATA
from entrepot.kernel.work.cron import purge_ticks
from entrepot.kernel.work.task import Task

PASSING = "Only what is still valid is kept; a task removes the rest every hour."

CORE = App(
    name="core",
    prefix="",
    tables=METADATA,
    routes=ROUTES,
    tasks=(
        Task(name="core.purge_sign_ins", cron="7 * * * *", run=purge_sign_ins),
        Task(name="core.purge_keys", cron="17 * * * *", run=purge_keys),
        Task(name="core.purge_ticks", cron="27 * * * *", run=purge_ticks),
    ),
    retention={
        "sessions": Keep(PASSING),
        "sign_in_nonces": Keep(PASSING),
        "idempotency_keys": Expire(timedelta(days=7), "created_at", archive=False),
        "cron_ticks": Expire(timedelta(days=30), "started_at", archive=False),
        "leases": Keep("One row for each thing that is leased."),
        "contracts": Keep("One row for each contract."),
        "chain_accounts": Keep("One row for each sending account."),
        "chain_transactions": Keep("What this server signed is never forgotten."),
        "secrets": Keep("A secret leaves only when an operator removes it."),
    },
)
