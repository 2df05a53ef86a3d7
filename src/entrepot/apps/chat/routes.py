"""The routes of chat."""

from entrepot.apps.chat.model import Party
from entrepot.apps.chat.operations import conversations, history, sending
from entrepot.apps.chat.refusals import MessageIdTaken, NoSuchConversation, NoSuchUser, StaleRoster
from entrepot.kernel.http.route import OWN, Pace, Who, get, post

MEMBER = (Party.MEMBER,)

SEND = post(
    "/conversations/{id}/messages",
    sending.send_message,
    who=Who.SIGNED_IN,
    of=MEMBER,
    status=201,
    pace=Pace.MESSAGE,
    refuses=(NoSuchConversation, StaleRoster, MessageIdTaken),
)

ROUTES = (
    get("/conversations", conversations.list_conversations, who=Who.SIGNED_IN, of=OWN),
    get("/unread", conversations.count_unread, who=Who.SIGNED_IN, of=OWN),
    get(
        "/conversations/{id}/messages",
        history.list_messages,
        who=Who.SIGNED_IN,
        of=MEMBER,
        refuses=(NoSuchConversation,),
    ),
    SEND,
    post(
        "/direct/{wallet}/messages",
        sending.send_direct,
        who=Who.SIGNED_IN,
        of=OWN,
        status=201,
        pace=Pace.MESSAGE,
        refuses=(NoSuchUser, StaleRoster, MessageIdTaken, NoSuchConversation),
    ),
)
