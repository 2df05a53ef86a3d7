"""What instrumentation costs: the same server with and without it, in turns, by p95 latency and CPU a request.

The request is the cheapest there is (a page of an empty market, in the hot lane), so that the share is the worst case.
"""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from bench import processes
from bench.load import Requests, drive
from bench.processes import Command, Running, free_port
from entrepot.dev import postgres
from entrepot.kernel.db.usage import Usage
from entrepot.kernel.meters import TOGETHER, meters
from entrepot.kernel.monitor.reporter import Reporter
from entrepot.kernel.upkeep import migrate
from entrepot.main import find_apps, web

ROOT = Path(__file__).parents[1]
PATH = "/api/v1/escrow/products"
ROLE = "entrepot_server"
GOAL = 1.03
SETTINGS = {**postgres.SETTINGS, "shared_buffers": "128MB"}
ROUNDS = 24
VAULT = '{"bench": "' + "A" * 43 + '="}'


def silence() -> None:
    """Takes every counter out of this process, and its reports."""
    meters().observe_request = lambda *_measured: None  # type: ignore[method-assign]
    Usage.take = Usage.give = lambda _self: None  # type: ignore[method-assign]

    async def nothing(self: Reporter, *_failure: object) -> Reporter:
        return self

    Reporter.__aenter__ = Reporter.__aexit__ = nothing  # type: ignore[method-assign, assignment]


async def serve(port: int) -> None:
    """The house, by its settings from the environment."""
    await Server(web(), port=port, interface=Interfaces.ASGI, log_enabled=False).serve()


def stand(folder: Path, dsn: str, stack: ExitStack, name: str) -> Running:
    """Starts one of both servers."""
    port = free_port()
    together = folder / name
    together.mkdir()
    environment = {
        "DATABASE_URL": dsn,
        "ENTREPOT_HOME": str(folder / "home"),
        "ENTREPOT_VAULT_KEYS": VAULT,
        "ENTREPOT_READS_PER_MINUTE": "1000000",
        **({TOGETHER: str(together)} if name == "with" else {}),
    }
    command = Command(name, [sys.executable, "-m", "bench.monitor", name, str(port)], environment, ROOT)
    running: Running = stack.enter_context(processes.running(command, port, f"GET {PATH}"))
    return running


def measure(folder: Path, dsn: str, stack: ExitStack, tell: Callable[[str], None]) -> dict[str, Any]:
    """Both in turns, each first as often as second; medians of the ratios of neighbours."""
    both = {name: stand(folder, dsn, stack, name) for name in ("with", "without")}
    requests = Requests.write(folder / "requests.txt", [f"GET {PATH}"] * 50)
    for target in both.values():
        drive(target, requests, 2)
    pairs = []
    for number in range(ROUNDS):
        order = ("with", "without") if number % 2 else ("without", "with")
        runs = {name: drive(both[name], requests, 2) for name in order}
        pairs.append(runs)
        tell(f"round {number + 1}: " + ", ".join(f"{n} {r.p95:.2f} ms p95, {r.cpu:.1f} us" for n, r in runs.items()))
    figures = ("p95", "p50", "cpu")
    ratios = {
        each: statistics.median(getattr(pair["with"], each) / getattr(pair["without"], each) for pair in pairs)
        for each in figures
    }
    medians = {
        name: {each: statistics.median(getattr(pair[name], each) for pair in pairs) for each in figures}
        for name in both
    }
    return {"rounds": ROUNDS, "ratios": ratios, "medians": medians, "goal": GOAL}


def run(tell: Callable[[str], None]) -> dict[str, Any]:
    """On a database of its own."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-bench-"))
    with ExitStack() as stack:
        server = stack.enter_context(postgres.started(folder / "postgres", SETTINGS, throw_away=True))
        asyncio.run(migrate.up(server.get_uri(), find_apps(), ROLE))
        return measure(folder, postgres.address(server, ROLE, "postgres"), stack, tell)


def table(result: dict[str, Any]) -> list[str]:
    """As the report shows it."""
    lines = ["| figure | without | with | ratio | goal |", "| --- | --- | --- | --- | --- |"]
    units = {"p95": "ms", "p50": "ms", "cpu": "us a request"}
    for each, unit in units.items():
        goal = f"< {GOAL}" if each == "p95" else ""
        without, metered = (result["medians"][name][each] for name in ("without", "with"))
        lines.append(f"| {each}, {unit} | {without:.3f} | {metered:.3f} | {result['ratios'][each]:.4f} | {goal} |")
    return lines


if __name__ == "__main__":
    if sys.argv[1] == "without":
        silence()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[2])))
