"""For every route, the thing that it names as whoever calls stands to it, and what a call of it must hold."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from entrepot.apps.chat.model import Party
from tests.apps.chat.conftest import Caller, Place, envelope
from tests.apps.chat.devices import Device
from tests.matrix import Given


class As(StrEnum):
    """Who calls."""

    NOBODY = "nobody"
    STRANGER = "stranger"
    INVITED = Party.INVITED.value
    MEMBER = Party.MEMBER.value
    ADMIN = Party.ADMIN.value
    OWNER = Party.OWNER.value
    HOLDER = Party.HOLDER.value


@dataclass
class Stage:
    """A server and its people. Each scene is made anew for each call, as the calls that succeed use it up."""

    place: Place
    cast: dict[As, Caller]

    async def group(self, *, is_public: bool = False) -> str:
        """A group of the owner's with an admin and a member, to which somebody is invited."""
        owner = self.cast[As.OWNER]
        invited = [self.cast[who].wallet for who in (As.ADMIN, As.MEMBER, As.INVITED)]
        made = await owner.post("groups", name="Tenders", is_public=is_public, invite=invited)
        path = f"groups/{made.body['id']}/members"
        for who in (As.ADMIN, As.MEMBER):
            assert (await self.cast[who].post(path, wallet=self.cast[who].wallet)).status == 200
        assert (await owner.post(path, wallet=self.cast[As.ADMIN].wallet, role="admin")).status == 200
        return str(made.body["id"])

    async def roster(self, conversation: str) -> int:
        found = await self.place.owner.fetchval("SELECT roster FROM chat.conversations WHERE id = $1", conversation)
        return int(found)

    async def version(self, caller: Caller) -> int:
        """Of the wallet's keys."""
        query = "SELECT keys_version FROM chat.users WHERE wallet_address = $1"
        return int(await self.place.owner.fetchval(query, caller.wallet) or 0)


Scene = Callable[[Stage, As], Awaitable[Given]]


async def bare(_stage: Stage, _who: As) -> Given:
    return Given()


async def somebody(stage: Stage, _who: As) -> Given:
    return Given({"wallet": (await stage.place.member()).wallet})


async def search(_stage: Stage, _who: As) -> Given:
    return Given(body={"q": "Ada"})


async def renamed(_stage: Stage, _who: As) -> Given:
    return Given(body={"name": "Ada"}, whole=True)


async def first_letter(stage: Stage, who: As) -> Given:
    other = await stage.place.member()
    return Given({"wallet": other.wallet}, envelope(roster=await stage.version(stage.cast[who])), whole=True)


def in_group(**body: Any) -> Scene:
    async def scene(stage: Stage, _who: As) -> Given:
        return Given({"id": await stage.group()}, body, whole=True)

    return scene


async def letter(stage: Stage, _who: As) -> Given:
    group = await stage.group()
    return Given({"id": group}, envelope(roster=await stage.roster(group)), whole=True)


async def kept(stage: Stage, who: As) -> Given:
    """In a group its admins say for how long it keeps messages; of a pair, either."""
    if who is not As.MEMBER:
        return Given({"id": await stage.group()})
    sent = await stage.cast[who].writes_to(await stage.place.member(), roster=await stage.version(stage.cast[who]))
    return Given({"id": sent.body["conversation_id"]})


async def coming(stage: Stage, who: As) -> Given:
    """Who is outside joins; who is inside invites, which in a public group anybody does."""
    inside = who in (As.MEMBER, As.ADMIN, As.OWNER)
    comes = await stage.place.member() if inside else stage.cast[who]
    group = await stage.group(is_public=inside)
    return Given({"id": group}, {"wallet": comes.wallet}, whole=True)


async def going(stage: Stage, who: As) -> Given:
    goes = As.MEMBER if who is As.OWNER else who
    return Given({"id": await stage.group()}, {"wallet": stage.cast[goes].wallet})


async def block(stage: Stage, who: As) -> Given:
    other = await stage.place.member()
    if who is As.HOLDER:
        await stage.cast[who].post(f"blocks/{other.wallet}")
    return Given({"wallet": other.wallet})


async def new_device(stage: Stage, who: As) -> Given:
    caller = stage.cast[who]
    return Given(body=Device(caller).handed_in(await stage.version(caller) + 1), whole=True)


async def device(stage: Stage, who: As) -> Given:
    owner = stage.cast[who] if who is As.HOLDER else await stage.place.member()
    made = Device(owner)
    await made.comes(await stage.version(owner) + 1)
    return Given({"device": str(made.id)})


CHAT = "/api/v1/chat"
SCENES: dict[str, Scene] = {
    f"GET {CHAT}/me": bare,
    f"PATCH {CHAT}/me": renamed,
    f"GET {CHAT}/users": search,
    f"GET {CHAT}/users/{{wallet}}": somebody,
    f"GET {CHAT}/users/{{wallet}}/keys": somebody,
    f"POST {CHAT}/users/{{wallet}}/keys": somebody,
    f"GET {CHAT}/users/{{wallet}}/key-log": somebody,
    f"GET {CHAT}/blocks": bare,
    f"POST {CHAT}/blocks/{{wallet}}": somebody,
    f"DELETE {CHAT}/blocks/{{wallet}}": block,
    f"GET {CHAT}/keys": bare,
    f"PUT {CHAT}/keys": new_device,
    f"DELETE {CHAT}/keys/{{device}}": device,
    f"GET {CHAT}/groups": bare,
    f"POST {CHAT}/groups": bare,
    f"GET {CHAT}/groups/{{id}}": in_group(),
    f"PATCH {CHAT}/groups/{{id}}": in_group(name="Offers"),
    f"DELETE {CHAT}/groups/{{id}}": in_group(),
    f"GET {CHAT}/groups/{{id}}/members": in_group(),
    f"POST {CHAT}/groups/{{id}}/members": coming,
    f"DELETE {CHAT}/groups/{{id}}/members": going,
    f"GET {CHAT}/conversations": bare,
    f"GET {CHAT}/unread": bare,
    f"GET {CHAT}/conversations/{{id}}/messages": in_group(),
    f"POST {CHAT}/conversations/{{id}}/messages": letter,
    f"GET {CHAT}/conversations/{{id}}/devices": in_group(),
    f"POST {CHAT}/conversations/{{id}}/read": in_group(read_seq=1),
    f"POST {CHAT}/conversations/{{id}}/typing": in_group(),
    f"PATCH {CHAT}/conversations/{{id}}": kept,
    f"POST {CHAT}/direct/{{wallet}}/messages": first_letter,
    f"GET {CHAT}/stream": bare,
}
