"""What a worker runs: tasks at their times, services all the time."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

Run = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Runs at each tick of a cron expression (six fields: seconds last), once however many workers there are.

    Its parameters are filled from the house by their types, as an operation's are.
    """

    name: str
    cron: str
    run: Run


@dataclass(frozen=True, kw_only=True)
class Service:
    """Runs for as long as the worker does, one instance for each item of `over`, each under a lease.

    `over` says over what the service is spread (for instance the chains' names); its parameters are filled from the
    house too. The item itself comes as the parameter `item`.
    """

    name: str
    run: Run
    over: Callable[..., tuple[str, ...]]
