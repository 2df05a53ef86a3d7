"""One JSON-RPC endpoint over HTTP: its envelope, its errors, its cool-down, and its secrets kept out of every text."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import aiohttp
import msgspec
from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from entrepot.kernel import tracing
from entrepot.kernel.values import ENCODER

RATE_LIMITED = re.compile(
    r"rate.?limit|too many requests|request(s|( (rate|count|limit)))? (per second )?exceeded|requests? per second"
    r"|compute units per second|exceeded (its|your) .*(capacity|throughput|quota)|no backend is currently healthy",
    re.IGNORECASE,
)
NEVER_RATE = re.compile(r"\b(results?|logs|blocks?|range|response size)\b", re.IGNORECASE)
RATE_CODES = frozenset({429, -32029, -32097})
PANICS = {0x01: "assertion failed", 0x11: "arithmetic overflow", 0x12: "division by zero", 0x32: "index out of range"}


class ChainFailure(Exception):
    """Whatever can go wrong between us and the chain."""


class RpcError(ChainFailure):
    """The node understood the request and refused it. `reason` is the contract's own text when a call reverted."""

    def __init__(self, code: int, message: str, data: Any = None, *, asked: str = "") -> None:
        self.code, self.message, self.data = code, message, data
        self.reason = revert_reason(data)
        shown = message if self.reason is None or self.reason in message else f"{message}: {self.reason}"
        super().__init__(f"{asked}: {shown} (code {code})" if asked else f"{shown} (code {code})")


class BadAnswer(ChainFailure):
    """An endpoint answered, but not with what the method promises."""

    def __init__(self, endpoint: str, method: str, why: str) -> None:
        self.endpoint, self.method = endpoint, method
        super().__init__(f"{endpoint} answered {method} wrongly: {why}")


class Unavailable(ChainFailure):
    """One endpoint could not be used this time. `wait` is the seconds it asked for; `final` means do not insist."""

    def __init__(self, why: str, *, wait: float | None = None, final: bool = False, timed_out: bool = False) -> None:
        self.why, self.wait, self.final, self.timed_out = why, wait, final, timed_out
        super().__init__(why)


class ChainUnreachable(ChainFailure):
    """No endpoint could be used. Names hosts only: the keys of providers live in their addresses."""

    def __init__(self, endpoints: Sequence[str], causes: Sequence[Unavailable]) -> None:
        self.endpoints, self.causes = tuple(endpoints), tuple(cause.why for cause in causes)
        self.again = not all(cause.final for cause in causes)
        self.timed_out = bool(causes) and all(cause.timed_out for cause in causes)
        waits = [cause.wait for cause in causes]
        self.wait = min((wait for wait in waits if wait is not None), default=None) if None not in waits else None
        told = "; ".join(f"{name}: {why}" for name, why in zip(self.endpoints, self.causes, strict=True))
        super().__init__(f"no endpoint of the chain could be used ({told})")


class Request(msgspec.Struct, frozen=True):
    """A JSON-RPC 2.0 request."""

    id: int
    method: str
    params: Sequence[object]
    jsonrpc: str = "2.0"


class _Failure(msgspec.Struct):
    code: int = 0
    message: str = ""
    data: Any = None


class _Answer(msgspec.Struct):
    id: int | str | None = None
    result: msgspec.Raw = msgspec.Raw()
    error: _Failure | None = None


_DECODER = msgspec.json.Decoder(_Answer | list[_Answer])


class Endpoint:
    """An address that answers JSON-RPC. `name` is its host and port, the only part that may be shown.

    One that is of another chain than `chain_id` is as good as none: it is asked before the first call, and again after
    each failure. To a mirror that read it, all of its own chain would have been reorganised away.
    """

    def __init__(self, url: str, *, cool_down: float, chain_id: int | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an endpoint must be an http:// or https:// address with a host")
        self._url, self._cool_down, self._chain_id = url, cool_down, chain_id
        self._is_known = chain_id is None
        self.name = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        query = [value for _, value in parse_qsl(parts.query)]
        words = [word for word in (parts.username, parts.password, *parts.path.split("/"), *query) if word]
        hidden = {text for word in words for text in (word, unquote(word)) if len(text) > 5}
        self._secrets = sorted(hidden, key=len, reverse=True)
        self._rests_until = 0.0

    @property
    def resting(self) -> float:
        """Seconds until the cool-down ends; 0 when the endpoint may be used."""
        return max(0.0, self._rests_until - asyncio.get_running_loop().time())

    def rest(self) -> None:
        """Puts it last for the cool-down, because what it answered was of no use."""
        self._rests_until = asyncio.get_running_loop().time() + self._cool_down

    async def exchange(self, session: aiohttp.ClientSession, requests: Sequence[Request]) -> list[msgspec.Raw]:
        """The results in the order of the requests, sent as one. Raises RpcError or Unavailable."""
        try:
            with tracing.node(self.name, [request.method for request in requests]):
                if not self._is_known:
                    await self._check_chain(session)
                results = await self._exchange(session, requests)
        except Unavailable as failed:
            self._is_known = self._chain_id is None
            rest = failed.wait if failed.wait is not None else self._cool_down * (10 if failed.final else 1)
            self._rests_until = asyncio.get_running_loop().time() + rest
            raise
        self._rests_until = 0.0
        return results

    async def _check_chain(self, session: aiohttp.ClientSession) -> None:
        (told,) = await self._exchange(session, [Request(0, "eth_chainId", ())])
        try:
            answered = int(msgspec.json.decode(told, type=str), 16)
        except ValueError:
            raise Unavailable("does not say which chain it is of") from None
        if answered != self._chain_id:
            raise Unavailable(f"is of chain {answered}, not {self._chain_id}", final=True)
        self._is_known = True

    async def _exchange(self, session: aiohttp.ClientSession, requests: Sequence[Request]) -> list[msgspec.Raw]:
        body = ENCODER.encode(requests if len(requests) > 1 else requests[0])
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as response:
                status, headers, content = response.status, response.headers, await response.read()
        except TimeoutError:
            raise Unavailable(f"no answer within {session.timeout.total:g} s", timed_out=True) from None
        except aiohttp.ClientConnectorError as failed:
            raise Unavailable(f"cannot connect ({failed.os_error.strerror or 'unknown host'})") from None
        except (aiohttp.ClientError, OSError) as failed:
            raise Unavailable(f"the connection broke ({type(failed).__name__})") from None
        answers = _parse(content)
        self._check_status(status, headers, answers)
        if answers is None:
            raise Unavailable("answered with something that is not JSON-RPC")
        return self._results(requests, answers)

    def _check_status(self, status: int, headers: Mapping[str, str], answers: list[_Answer] | None) -> None:
        told = next((answer.error.message for answer in answers or () if answer.error), "")
        why = f"HTTP {status}: {self._hide(told)}" if told else f"HTTP {status}"
        if status == 429 or status >= 500:
            raise Unavailable(why, wait=_retry_after(headers))
        if status in {401, 403} or (status != 200 and answers is None and status != 413):
            raise Unavailable(why, final=True)
        if status == 413 and not told:
            raise RpcError(413, "the response size or the request is too large for the endpoint")

    def _results(self, requests: Sequence[Request], answers: list[_Answer]) -> list[msgspec.Raw]:
        by_id = {answer.id: answer for answer in answers}
        results = []
        for request in requests:
            answer = by_id.get(request.id)
            if answer is None and len(answers) == 1 and answers[0].error:  # one error for the whole batch
                answer = answers[0]
            if answer is None:
                raise Unavailable(f"left {request.method} without an answer")
            if answer.error is not None:
                raise self._refusal(request, answer.error)
            results.append(answer.result)
        return results

    def _refusal(self, request: Request, failure: _Failure) -> Exception:
        message = self._hide(failure.message)
        limited = bool(RATE_LIMITED.search(message)) and not NEVER_RATE.search(message)
        if failure.code in RATE_CODES or limited:
            return Unavailable(f"rate limited: {message}", wait=_backoff(failure.data))
        return RpcError(failure.code, message, failure.data, asked=request.method)

    def _hide(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def revert_reason(data: Any) -> str | None:
    """The text behind Error(string) or Panic(uint256), wherever nodes put it; None for anything else."""
    if isinstance(data, Mapping):
        return revert_reason(data.get("data") or data.get("result"))
    found = re.search(r"0x(08c379a0|4e487b71)((?:[0-9a-fA-F]{64})+)", data) if isinstance(data, str) else None
    if found is None:
        return None
    kind = "string" if found[1] == "08c379a0" else "uint256"
    try:
        (value,) = decode([kind], bytes.fromhex(found[2]))
    except (DecodingError, ValueError, OverflowError):
        return None
    return value if isinstance(value, str) else f"panic 0x{value:02x} ({PANICS.get(value, 'see the compiler')})"


def _parse(content: bytes) -> list[_Answer] | None:
    try:
        answers = _DECODER.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    answers = answers if isinstance(answers, list) else [answers]
    return answers if all(answer.error or bytes(answer.result) for answer in answers) else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    given = headers.get("Retry-After", "")
    return float(given) if re.fullmatch(r"\d{1,6}(\.\d+)?", given) else None


def _backoff(data: Any) -> float | None:
    """Infura names the wait inside its error: data.rate.backoff_seconds."""
    rate = data.get("rate") if isinstance(data, Mapping) else None
    seconds = rate.get("backoff_seconds") if isinstance(rate, Mapping) else None
    return float(seconds) if isinstance(seconds, int | float) and seconds >= 0 else None
