"""An endpoint carries a call to its operation: limit, caller, input, door, answer; the same for every route."""

import hashlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import asyncpg
import msgspec

from entrepot.kernel.cache.cache import Cache
from entrepot.kernel.chain.endpoint import ChainFailure
from entrepot.kernel.db.causal import Bookmarks, Progress
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh, Read, Write
from entrepot.kernel.db.pool import LOST
from entrepot.kernel.db.query import Query
from entrepot.kernel.http import idempotency
from entrepot.kernel.http.call import Call, Caller, Reply, reply
from entrepot.kernel.http.limits import Limit
from entrepot.kernel.http.problem import problem
from entrepot.kernel.http.route import FROM_SESSION, Ask, BadRoute, Pace, Route, Who, read_signature
from entrepot.kernel.refusal import Forbidden, Malformed, NotFound, Refusal, Unauthenticated, Unavailable
from entrepot.kernel.settings import Settings
from entrepot.kernel.supply import NotInHouse, Resources, supply
from entrepot.kernel.values import read_value
from entrepot.kernel.vault import Vault
from entrepot.kernel.wallet import Wallet

SESSION = Query("SELECT wallet FROM core.sessions WHERE token_hash = :token_hash AND expires_at > now()")
UNDONE = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, *LOST)
"""Nothing has happened, whatever the operation was: it may run again."""
UNSTORABLE = (asyncpg.CharacterNotInRepertoireError, asyncpg.UntranslatableCharacterError)
"""A text with NUL in it, which JSON and URLs can carry and PostgreSQL cannot."""
BUSY = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError)
"""The server role's timeouts."""
TRIES = 3

Limits = Mapping[Pace, Limit]


def at_fault(error: msgspec.ValidationError) -> Malformed:
    """The refusal that names the field which msgspec found at fault."""
    reason, _, path = str(error).partition(" - at `$")
    field = path.strip("`").lstrip(".")
    if not field and "field `" in reason:
        field = reason.split("field `")[1].split("`")[0]
        reason = "is required" if "missing" in reason else "is not a field of this call"
    return Malformed(field=field or "body", reason=reason)


class Endpoint:
    """A route, ready to be called. Raises `BadRoute` when the route does not fit its operation."""

    def __init__(self, route: Route, url: str, database: Database, limits: Limits, resources: Resources) -> None:
        self.route = route
        self.url = url + route.path
        self.database = database
        self.limit = limits[route.pace]
        self.signature = read_signature(route.operation)
        ask = self.signature.ask
        names = () if ask is None else ask.__struct_fields__
        self.from_session = tuple(name for name in FROM_SESSION if name in names)
        self.given_elsewhere = (*route.path_names, *self.from_session)
        settings = resources[Settings]
        assert isinstance(settings, Settings)
        self.settings = settings
        vault = resources.get(Vault)
        self.bookmarks = (
            Bookmarks(vault.derive("bookmarks")) if database.replicas.all and isinstance(vault, Vault) else None
        )
        self.operators = frozenset(settings.operators)
        self._check(names)
        self.cache = self._cache(resources)
        self.before = None if route.before is None else read_signature(route.before)
        if self.before is not None and (self.before.door is not Database or self.before.ask is not ask):
            raise BadRoute(f"{route.method} {self.url}: what runs before it takes the Database and the same input")
        first = None if self.before is None else self.before.answer
        own = {name: kind for name, kind in self.signature.resources.items() if kind is not first}
        self.found_before = tuple(name for name in self.signature.resources if name not in own)
        try:
            self.resources = supply(own, resources)
            self.resources_before = {} if self.before is None else supply(self.before.resources, resources)
        except NotInHouse as missing:
            raise BadRoute(f"{route.method} {self.url} needs {missing}, which the house has not") from None

    def _cache(self, resources: Resources) -> Cache | None:
        """Where its answers are kept, if they are."""
        route, cache = self.route, resources.get(Cache)
        if route.cached is None:
            return None
        is_plain = route.method == "GET" and route.who is Who.ANYONE and route.before is None and route.headers is None
        if not is_plain or not self.signature.passes_json or self.signature.door is not Read:
            raise BadRoute(f"{route.method} {self.url}: only what anyone may read, as PostgreSQL's JSON, can be kept")
        if not isinstance(cache, Cache) or route.cached not in cache.kinds:
            raise BadRoute(f"{route.method} {self.url}: no app declares the cache {route.cached.name}")
        return cache if self.settings.cache_bytes else None

    def _check(self, names: Sequence[str]) -> None:
        route = self.route
        if not isinstance(route.who, Who):
            raise BadRoute(f"{route.method} {self.url} does not say who may call it")
        if (route.of is None) == (route.who is Who.SIGNED_IN):
            raise BadRoute(f"{route.method} {self.url} does not say whose the thing must be that it names (of=...)")
        if self.from_session and route.who is Who.ANYONE:
            raise BadRoute(f"{route.method} {self.url} needs a caller but anyone may call it")
        if unknown := set(route.path_names) - set(names):
            raise BadRoute(f"{route.method} {self.url}: {sorted(unknown)} is no field of its input")

    async def respond(self, call: Call) -> Reply:
        """The reply, be it an answer or a refusal. Anything but a refusal is a fault and is raised."""
        if self.bookmarks is None:
            return await self._settle(call)
        token, replicas = call.bookmark, self.database.replicas
        call.progress = Progress(None if token is None else self.bookmarks.open(token))
        made = await self._settle(call)
        if call.progress.uses_primary:
            await replicas.note(call.progress)
        if call.progress.reached is not None:
            made.bookmark = self.bookmarks.seal(call.progress.reached)
        return made

    async def _settle(self, call: Call) -> Reply:
        try:
            return await self._answer(call)
        except Refusal as refused:
            status, headers, body = problem(refused)
            return Reply(status, body, headers)
        except (*LOST, *BUSY):
            status, headers, body = problem(Unavailable(part="database"))
            return Reply(status, body, headers)
        except ChainFailure:
            status, headers, body = problem(Unavailable(part="chain"))
            return Reply(status, body, headers)

    async def _answer(self, call: Call) -> Reply:
        self.limit.count(call.client)
        tries = TRIES
        while True:
            try:
                caller = None if self.route.who is Who.ANYONE else await self._caller(call)
                given = self._given(call, caller)
                return await self._run(call, caller, given)
            except UNSTORABLE as error:
                field = next((name for name, value in given.items() if "\\x00" in repr(value)), "body")
                raise Malformed(field=field, reason="holds a character that cannot be stored") from error
            except UNDONE:
                tries -= 1
                if not tries or self.signature.door is Database:
                    raise

    async def _caller(self, call: Call) -> Caller:
        caller = call.caller or await self._signed_in(call.token)
        if self.route.who is Who.OPERATOR and caller.wallet not in self.operators:
            raise Forbidden
        return caller

    async def _signed_in(self, token: str | None) -> Caller:
        if not token:
            raise Unauthenticated
        session = hashlib.sha256(token.encode()).digest()
        async with self.database.read() as db:
            wallet = await db.value(SESSION, token_hash=session)
        if wallet is None:
            raise Unauthenticated
        return Caller(Wallet(wallet), session)

    def _given(self, call: Call, caller: Caller | None) -> dict[str, Any]:
        """Every field of the input, by name, not checked yet."""
        if call.given is not None:
            given, elsewhere = dict(call.given), self.from_session
        else:
            given = call.json_object() if self.route.has_body else dict(call.query_values())
            elsewhere = self.given_elsewhere
        for name in elsewhere:
            if name in given:
                raise Malformed(field=name, reason="is not a field of this call")
        given.update(call.path)
        if caller is not None:
            session = {"by": caller.wallet, "session": caller.session}
            given.update((name, session[name]) for name in self.from_session)
        return given

    def _ask(self, given: dict[str, Any]) -> Ask | None:
        kind = self.signature.ask
        if kind is None:
            if given:
                raise Malformed(field=next(iter(given)), reason="is not a field of this call")
            return None
        try:
            return msgspec.convert(given, kind, strict=self.route.has_body, dec_hook=read_value)
        except msgspec.ValidationError as error:
            raise at_fault(error) from None

    async def _run(self, call: Call, caller: Caller | None, given: dict[str, Any]) -> Reply:
        ask = self._ask(given)
        if self.cache is not None and (kept := await self._kept(self.cache, call.progress, ask)) is not None:
            return kept
        door = self.signature.door
        key = self._key(call) if door is Write else None
        known_before = await self._before(ask)
        if door is Read and self.bookmarks is not None:
            return await self.database.read_after(call.progress, lambda db: self._operate(db, ask, known_before))
        call.progress.uses_primary = door is not None
        if door is Read or door is Fresh:
            async with self.database.read() as db:
                return await self._operate(db, ask, known_before)
        if door is Write:
            return await self._write(key, caller, given, ask, known_before)
        return await self._operate(self.database if door is Database else None, ask, known_before)

    async def _write(
        self,
        key: str | None,
        caller: Caller | None,
        given: dict[str, Any],
        ask: Ask | None,
        known_before: dict[str, Any],
    ) -> Reply:
        """In a transaction, and at most once for each idempotency key."""
        async with self.database.write() as db:
            if key is None or caller is None:
                return await self._operate(db, ask, known_before)
            asked = idempotency.input_hash(f"{self.route.method} {self.url}", given)
            if (known := await idempotency.earlier(db, caller.wallet, key, asked)) is not None:
                return known
            answer = await self._operate(db, ask, known_before)
            await idempotency.keep(db, caller.wallet, key, answer)
            return answer

    async def _kept(self, cache: Cache, progress: Progress, ask: Ask | None) -> Reply | None:
        """The answer from the cache; None where the caller has seen more than that knows."""
        assert self.route.cached is not None
        try:
            entry = await cache.answer(self.route.cached, ask, partial(self._load, ask), progress.brought)
        except Refusal:
            # "There is no such thing" is something that the caller has seen, too.
            progress.uses_primary = True
            raise
        if entry is None:
            return None
        if entry.place is not None:
            progress.reach(entry.place)
        return Reply(self.route.status, entry.body)

    async def _load(self, ask: Ask | None, progress: Progress) -> bytes:
        """The answer of the operation, to be kept, and where in the log it stands."""
        if self.bookmarks is None:
            progress.uses_primary = True
            async with self.database.read() as db:
                return (await self._operate(db, ask, {})).body
        made = await self.database.read_after(progress, lambda db: self._operate(db, ask, {}))
        if progress.uses_primary:
            await self.database.replicas.note(progress)
        return made.body

    async def _before(self, ask: Ask | None) -> dict[str, object]:
        """What the operation must know first, by the name of its parameter; asked while no connection is held."""
        if self.route.before is None:
            return {}
        found = await self.route.before(self.database, ask, **self.resources_before)
        return dict.fromkeys(self.found_before, found)

    def _key(self, call: Call) -> str | None:
        key = call.header(b"idempotency-key")
        if key is None and self.route.needs_key:
            raise Malformed(field="Idempotency-Key", reason="this header is required; a new UUID will do")
        if key is not None and not 0 < len(key) <= 255:
            raise Malformed(field="Idempotency-Key", reason="must have 1 to 255 characters")
        return key

    async def _operate(self, door: Read | Database | None, ask: Ask | None, known: dict[str, object]) -> Reply:
        first = [part for part in (door, ask) if part is not None]
        answer = await self.route.operation(*first, **self.resources, **known)
        if self.signature.passes_json:
            if answer is None:
                raise NotFound
            return Reply(self.route.status, answer)
        made = reply(self.route.status, answer)
        if self.route.headers is not None:
            made.headers += self.route.headers(answer, self.settings)
        return made
