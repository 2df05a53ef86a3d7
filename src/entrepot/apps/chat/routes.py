"""The routes of chat."""

from entrepot.apps.chat.calls.live import FRAMES
from entrepot.apps.chat.model import Party
from entrepot.apps.chat.operations import (
    blocks,
    conversations,
    devices,
    directory,
    groups,
    history,
    keeping,
    live,
    membership,
    receipts,
    sending,
    users,
    vouching,
)
from entrepot.apps.chat.operations.presence import Present
from entrepot.apps.chat.refusals import (
    AlreadyMember,
    DeviceIdTaken,
    GroupFull,
    MessageIdTaken,
    NoSuchBlock,
    NoSuchConversation,
    NoSuchDevice,
    NoSuchGroup,
    NoSuchUser,
    NotForMembers,
    NotOfThisGroup,
    OwnerStays,
    SignInAgain,
    StaleKeys,
    StalePrekey,
    StaleRoster,
    TooManyBlocks,
    TooManyDevices,
    TooManyKeys,
    WrongSignature,
)
from entrepot.kernel.http.route import OWN, Pace, Who, delete, get, patch, post, put, stream

MEMBER, LEADERS, OWNER = (Party.MEMBER,), (Party.OWNER, Party.ADMIN), (Party.OWNER,)
HOLDER = (Party.HOLDER,)
INSIDE = (Party.MEMBER, Party.INVITED)

SEND = post(
    "/conversations/{id}/messages",
    sending.send_message,
    who=Who.SIGNED_IN,
    of=MEMBER,
    status=201,
    pace=Pace.MESSAGE,
    refuses=(NoSuchConversation, StaleRoster, MessageIdTaken),
)

READ = post(
    "/conversations/{id}/read",
    receipts.mark_read,
    who=Who.SIGNED_IN,
    of=MEMBER,
    pace=Pace.MESSAGE,
    refuses=(NoSuchConversation,),
)

SEND_DIRECT = post(
    "/direct/{wallet}/messages",
    sending.send_direct,
    who=Who.SIGNED_IN,
    of=OWN,
    status=201,
    pace=Pace.MESSAGE,
    refuses=(NoSuchUser, StaleRoster, MessageIdTaken, NoSuchConversation),
)

TYPING = post(
    "/conversations/{id}/typing",
    live.tell_typing,
    who=Who.SIGNED_IN,
    of=MEMBER,
    pace=Pace.MESSAGE,
    refuses=(NoSuchConversation,),
)

STREAM = stream(
    "/stream",
    live.watch,
    who=Who.SIGNED_IN,
    of=OWN,
    frames=FRAMES,
    attendance=Present,
    takes={"send": SEND, "send_direct": SEND_DIRECT, "read": READ, "typing": TYPING},
)

GROUPS = (
    get("/groups", groups.list_groups, who=Who.SIGNED_IN, of=OWN),
    post("/groups", groups.create_group, who=Who.SIGNED_IN, of=OWN, status=201, refuses=(SignInAgain,)),
    get("/groups/{id}", groups.get_group, who=Who.SIGNED_IN, of=INSIDE, refuses=(NoSuchGroup,)),
    patch(
        "/groups/{id}",
        groups.change_group,
        who=Who.SIGNED_IN,
        of=LEADERS,
        refuses=(NoSuchGroup, NotForMembers, NotOfThisGroup),
    ),
    delete("/groups/{id}", groups.delete_group, who=Who.SIGNED_IN, of=OWNER, refuses=(NoSuchGroup, NotForMembers)),
    get("/groups/{id}/members", groups.list_members, who=Who.SIGNED_IN, of=MEMBER, refuses=(NoSuchGroup,)),
    post(
        "/groups/{id}/members",
        membership.add_member,
        who=Who.SIGNED_IN,
        of=INSIDE,
        refuses=(NoSuchGroup, NoSuchUser, NotOfThisGroup, NotForMembers, AlreadyMember, GroupFull),
    ),
    delete(
        "/groups/{id}/members",
        membership.remove_member,
        who=Who.SIGNED_IN,
        of=INSIDE,
        refuses=(NoSuchGroup, NotOfThisGroup, NotForMembers, OwnerStays),
    ),
)

USERS = (
    get("/me", users.get_me, who=Who.SIGNED_IN, of=OWN, refuses=(SignInAgain,)),
    patch(
        "/me",
        users.edit_me,
        who=Who.SIGNED_IN,
        of=OWN,
        before=vouching.check_public_key,
        refuses=(SignInAgain, StaleKeys, WrongSignature),
    ),
    get("/users", users.find_users, who=Who.SIGNED_IN, of=OWN),
    get("/users/{wallet}", users.get_user, who=Who.SIGNED_IN, of=OWN, refuses=(NoSuchUser,)),
    get("/blocks", blocks.list_blocks, who=Who.SIGNED_IN, of=OWN),
    post("/blocks/{wallet}", blocks.block, who=Who.SIGNED_IN, of=OWN, refuses=(SignInAgain, TooManyBlocks)),
    delete("/blocks/{wallet}", blocks.unblock, who=Who.SIGNED_IN, of=HOLDER, refuses=(SignInAgain, NoSuchBlock)),
)

KEYS = (
    get("/keys", devices.get_keys, who=Who.SIGNED_IN, of=OWN, refuses=(SignInAgain,)),
    put(
        "/keys",
        devices.put_keys,
        who=Who.SIGNED_IN,
        of=OWN,
        before=vouching.check_device,
        refuses=(
            SignInAgain,
            DeviceIdTaken,
            TooManyDevices,
            StaleKeys,
            StalePrekey,
            TooManyKeys,
            WrongSignature,
        ),
    ),
    delete(
        "/keys/{device}",
        devices.remove_device,
        who=Who.SIGNED_IN,
        of=HOLDER,
        refuses=(SignInAgain, NoSuchDevice),
    ),
    get("/users/{wallet}/keys", directory.get_user_keys, who=Who.SIGNED_IN, of=OWN, refuses=(NoSuchUser,)),
    post("/users/{wallet}/keys", directory.claim_keys, who=Who.SIGNED_IN, of=OWN, refuses=(NoSuchUser,)),
    get("/users/{wallet}/key-log", directory.list_key_log, who=Who.SIGNED_IN, of=OWN, refuses=(NoSuchUser,)),
    get(
        "/conversations/{id}/devices",
        directory.list_devices,
        who=Who.SIGNED_IN,
        of=MEMBER,
        refuses=(NoSuchConversation,),
    ),
)

ROUTES = (
    *USERS,
    *KEYS,
    *GROUPS,
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
    READ,
    patch(
        "/conversations/{id}",
        keeping.change_conversation,
        who=Who.SIGNED_IN,
        of=MEMBER,
        refuses=(NoSuchConversation, NotForMembers),
    ),
    SEND_DIRECT,
    TYPING,
    STREAM,
)
