"""What the worker runs for chat."""

from entrepot.apps.chat.operations.directory import purge_claims
from entrepot.apps.chat.operations.keeping import sweep
from entrepot.apps.chat.operations.presence import forget_stale
from entrepot.apps.chat.operations.receipts import settle
from entrepot.kernel.work.task import Task

TASKS = (
    Task(name="chat.forget_stale", cron="*/10 * * * *", run=forget_stale),
    Task(name="chat.settle", cron="* * * * *", run=settle),
    Task(name="chat.sweep", cron="* * * * *", run=sweep),
    Task(name="chat.purge_key_claims", cron="47 * * * *", run=purge_claims),
)
