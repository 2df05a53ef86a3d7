"""Sign-in with a wallet (EIP-4361): a nonce, a signature, a session."""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from entrepot.kernel import clock
from entrepot.kernel.app import OnSignIn
from entrepot.kernel.chain.chains import Chains
from entrepot.kernel.db.database import Database
from entrepot.kernel.db.doors import Fresh, Write
from entrepot.kernel.identity import store
from entrepot.kernel.identity.message import SignInMessage, read_message
from entrepot.kernel.identity.model import AskNonce, Me, Nonce, Session, SessionEnded, SignIn, SignOut, WhoAmI
from entrepot.kernel.identity.refusals import NonceSpent, NotSignedBy, WrongMessage
from entrepot.kernel.identity.signature import approved_by_contract, recovered
from entrepot.kernel.settings import Settings
from entrepot.kernel.wallet import Wallet
from entrepot.kernel.work.outbox import SESSIONS, Letter, publish

NONCE_LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True)
class SignInHooks:
    """What the applications do when a wallet signs in; any of them may refuse."""

    hooks: Sequence[OnSignIn]


async def give_nonce(db: Write, ask: AskNonce, settings: Settings) -> Nonce:
    """Give out a nonce and the message to sign.

    The nonce can be used once, within five minutes, by this wallet.
    """
    issued = clock.now().replace(microsecond=0)
    message = SignInMessage(
        domain=settings.domain,
        wallet=ask.wallet,
        uri=settings.public_url,
        chain_id=ask.chain_id,
        nonce=secrets.token_hex(16),
        issued_at=issued,
        expires_at=issued + NONCE_LIFETIME,
    )
    await store.add_nonce(db, message.nonce, ask.wallet, issued, issued + NONCE_LIFETIME)
    return Nonce(message.nonce, message.text(), issued + NONCE_LIFETIME)


async def sign_in(database: Database, ask: SignIn, settings: Settings, chains: Chains, hooks: SignInHooks) -> Session:
    """Sign in with a signed message.

    The nonce is spent before anything else is looked at, in a transaction of its own, so that no message can be tried
    twice. A plain account is recovered here; only a contract wallet needs its chain to answer.
    """
    message = read_message(ask.message)
    async with database.write() as db:
        fresh = await store.spend_nonce(db, message.nonce, message.wallet)
    if not fresh:
        raise NonceSpent
    check_message(message, settings)
    if recovered(ask.message, ask.signature) != message.wallet and not await _contract_approves(ask, message, chains):
        raise NotSignedBy(message.wallet)
    token = secrets.token_urlsafe(32)
    async with database.write() as db:
        for hook in hooks.hooks:
            await hook(db, message.wallet, ask.public_key)
        lifetime = timedelta(hours=settings.session_hours)
        ends = await store.add_session(db, hash_token(token), message.wallet, lifetime)
    return Session(token, message.wallet, ends)


def hash_token(token: str) -> bytes:
    """What of a session token is kept: its SHA-256. The token has 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).digest()


def check_message(message: SignInMessage, settings: Settings) -> None:
    """Raises `WrongMessage` where the message was made for another server, or for another time."""
    if message.domain != settings.domain:
        raise WrongMessage("domain", settings.domain)
    if message.uri.rstrip("/") != settings.public_url.rstrip("/"):
        raise WrongMessage("URI", settings.public_url)
    now = clock.now()
    if not now - NONCE_LIFETIME <= message.issued_at <= now + timedelta(minutes=1):
        raise WrongMessage("Issued At", "within the last five minutes")
    if message.expires_at is not None and message.expires_at <= now:
        raise WrongMessage("Expiration Time", "in the future")
    if message.not_before is not None and message.not_before > now:
        raise WrongMessage("Not Before", "in the past")


async def _contract_approves(ask: SignIn, message: SignInMessage, chains: Chains) -> bool:
    chain = chains.by_id(message.chain_id)
    return chain is not None and await approved_by_contract(chain.rpc, message.wallet, ask.message, ask.signature)


async def sign_out(db: Write, ask: SignOut) -> None:
    """End this session."""
    await store.end_session(db, ask.session)
    await tell_of_end(db, [ask.by])


async def end_sessions(db: Write, wallets: Collection[Wallet]) -> None:
    """Ends every session of these wallets, and with them what they listen to."""
    await tell_of_end(db, sorted(await store.end_sessions(db, wallets)))


async def tell_of_end(db: Write, wallets: Sequence[Wallet]) -> None:
    """Lets every process look which live streams of these wallets have a session still."""
    await publish(db, [Letter(SESSIONS, SessionEnded(), about=wallet) for wallet in wallets])


async def who_am_i(_db: Fresh, ask: WhoAmI, settings: Settings) -> Me:
    """Tell who is signed in."""
    return Me(Wallet(ask.by), ask.by in settings.operators)


async def purge_sign_ins(db: Write) -> None:
    """Forgets sessions and nonces that have expired."""
    await store.purge(db)
