"""The routes of identity."""

from entrepot.kernel.http.route import OWN, Pace, Who, get, post
from entrepot.kernel.identity import operations
from entrepot.kernel.identity.model import Session
from entrepot.kernel.identity.refusals import NonceSpent, NotSignedBy, WrongMessage
from entrepot.kernel.refusal import Forbidden
from entrepot.kernel.settings import Settings


def session_cookie(session: Session, settings: Settings) -> list[tuple[str, str]]:
    """The session as a cookie that no script reads and no other site sends."""
    secure = "; Secure" if settings.is_secure else ""
    lifetime = settings.session_hours * 3600
    value = f"entrepot_session={session.token}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lifetime}{secure}"
    return [("set-cookie", value)]


def no_cookie(_nothing: None, _settings: Settings) -> list[tuple[str, str]]:
    """Takes the cookie away."""
    return [("set-cookie", "entrepot_session=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0")]


ROUTES = (
    post("/auth/nonce", operations.give_nonce, who=Who.ANYONE, pace=Pace.SIGN_IN),
    post(
        "/auth/verify",
        operations.sign_in,
        who=Who.ANYONE,
        pace=Pace.SIGN_IN,
        headers=session_cookie,
        refuses=(NonceSpent, NotSignedBy, WrongMessage, Forbidden),
    ),
    post("/auth/logout", operations.sign_out, who=Who.SIGNED_IN, of=OWN, headers=no_cookie),
    get("/auth/me", operations.who_am_i, who=Who.SIGNED_IN, of=OWN),
)
