"""The declaration of chat."""

from datetime import timedelta

from entrepot.apps.chat.invariants import INVARIANTS
from entrepot.apps.chat.model import STATUS
from entrepot.apps.chat.operations.presence import Present
from entrepot.apps.chat.operations.receipts import Receipts
from entrepot.apps.chat.operations.sending import Outgoing
from entrepot.apps.chat.operations.users import on_sign_in
from entrepot.apps.chat.routes import ROUTES
from entrepot.apps.chat.tasks import TASKS
from entrepot.kernel.app import App, Expire, Keep, Partitioned, Period

PASSING = "What is over is removed by a task."

APP = App(
    name="chat",
    tables="entrepot.apps.chat.tables:METADATA",
    routes=ROUTES,
    on_sign_in=on_sign_in,
    keeps=(Outgoing, Receipts, Present),
    tasks=TASKS,
    machines={"messages.status": STATUS},
    invariants=INVARIANTS,
    partitions={
        "messages": Partitioned(table="messages", key="id", period=Period.MONTH, horizon=timedelta(days=92)),
    },
    append_only=frozenset({"key_log"}),
    retention={
        "users": Keep("Messages name them."),
        "groups": Keep("Messages name them."),
        "group_members": Keep("Who is in a group is in it until they go."),
        "invitations": Keep("They wait for an answer."),
        "conversations": Keep("One row for each pair and group that has ever written."),
        "cursors": Keep("How far somebody has read must not be forgotten."),
        "conversation_months": Keep("A row for each month in which a conversation had messages."),
        "messages": Expire(timedelta(days=730), "id"),
        "blocks": Keep("They are taken back by hand only."),
        "devices": Keep("Old messages stay attributable."),
        "one_time_keys": Keep("They wait to be given out, and go with that."),
        "key_claims": Keep(PASSING),
        "key_log": Keep("Whoever checks keys looks back as far as they like."),
        "presence": Keep(PASSING),
    },
)
