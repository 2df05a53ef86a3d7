"""What instrumentation costs: the same server with and without it, in turns, by p95 latency and CPU a request.

The request is the cheapest there is (a page of an empty market, in the hot lane), so that the share is the worst case.
"""

import asyncio
import random
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop

from bench import processes
from bench.load import Requests, Run, drive
from bench.processes import Command, Running, free_port
from entrepot.dev import postgres
from entrepot.kernel.db.usage import Usage
from entrepot.kernel.http.serving import server_of
from entrepot.kernel.meters import TOGETHER, meters
from entrepot.kernel.monitor.reporter import Reporter
from entrepot.kernel.upkeep import migrate
from entrepot.main import find_apps
from entrepot.web import web

ROOT = Path(__file__).parents[1]
PATH = "/api/v1/escrow/products"
ROLE = "entrepot_server"
GOAL = 1.03
SETTINGS = {**postgres.SETTINGS, "shared_buffers": "128MB"}
SETS, ROUNDS = 10, 7
NAMES = ("with", "without", "again")
FIGURES = {"p95": "ms", "p50": "ms", "cpu": "us a request"}
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
    await server_of(web(), port).serve()


def stand(folder: Path, dsn: str, stack: ExitStack, name: str) -> Running:
    """Starts one of the servers."""
    port = free_port()
    together = tempfile.mkdtemp(dir=folder)
    environment = {
        "DATABASE_URL": dsn,
        "ENTREPOT_HOME": str(folder / "home"),
        "ENTREPOT_VAULT_KEYS": VAULT,
        "ENTREPOT_READS_PER_MINUTE": "1000000",
        **({TOGETHER: together} if name == "with" else {}),
    }
    command = Command(name, [sys.executable, "-m", "bench.monitor", name, str(port)], environment, ROOT)
    running: Running = stack.enter_context(processes.running(command, port, f"GET {PATH}"))
    return running


def measure(folder: Path, dsn: str, tell: Callable[[str], None]) -> dict[str, Any]:
    """Three servers in turns, again and again with new processes: with, without, and once more without.

    One process may be some percent faster than the next of the same program, for as long as it lives. So what counts
    is one figure for each set of processes, and the two that are alike say how much of it is chance.
    """
    requests = Requests.write(folder / "requests.txt", [f"GET {PATH}"] * 50)
    found: dict[str, list[dict[str, Run]]] = {}
    for number in range(SETS):
        with ExitStack() as stack:
            servers = {name: stand(folder, dsn, stack, name) for name in turned(NAMES, number)}
            for target in servers.values():
                drive(target, requests, 1)
            found[f"set {number + 1}"] = rounds = [
                {name: drive(servers[name], requests, 1) for name in turned(NAMES, each)} for each in range(ROUNDS)
            ]
            told = ", ".join(f"{name} {typical(rounds, name, 'p95'):.3f} ms" for name in NAMES)
            tell(f"set {number + 1} of {SETS}, p95: {told}")
    return summary(list(found.values()))


def turned(names: Sequence[str], by: int) -> Sequence[str]:
    """Each of them first as often as the others."""
    return [*names[by % len(names) :], *names[: by % len(names)]]


def typical(rounds: Sequence[Mapping[str, Run]], name: str, figure: str) -> float:
    """Of one server."""
    return statistics.median(getattr(each[name], figure) for each in rounds)


def share(rounds: Sequence[Mapping[str, Run]], name: str, figure: str) -> float:
    """A figure of a server as a multiple of that of the plain one: the median of the rounds, of neighbours each."""
    return statistics.median(getattr(each[name], figure) / getattr(each["without"], figure) for each in rounds)


def interval(shares: Sequence[float]) -> tuple[float, float]:
    """Where the median lies in 95 of 100 cases, by drawing sets again with a die of the same seed."""
    die = random.Random(14)
    drawn = sorted(statistics.median(die.choices(shares, k=len(shares))) for _ in range(4_000))
    return drawn[100], drawn[-101]


def summary(sets: Sequence[Sequence[Mapping[str, Run]]]) -> dict[str, Any]:
    """What it came to. Where chance is as large as what was to be measured, that is the verdict."""
    ratios, noise, medians = {}, {}, {}
    for figure in FIGURES:
        shares, alike = ([share(rounds, name, figure) for rounds in sets] for name in ("with", "again"))
        ratios[figure] = {"median": statistics.median(shares), "interval": interval(shares)}
        noise[figure] = {"median": statistics.median(alike), "interval": interval(alike)}
        medians[figure] = {name: statistics.median(typical(rounds, name, figure) for rounds in sets) for name in NAMES}
    low, high = ratios["p95"]["interval"]
    chance = noise["p95"]["interval"][1]
    verdict = "met" if high < GOAL else "missed" if low >= max(GOAL, chance) else "not decided: too much else happened"
    return {"sets": len(sets), "ratios": ratios, "noise": noise, "medians": medians, "goal": GOAL, "verdict": verdict}


def run(tell: Callable[[str], None]) -> dict[str, Any]:
    """On a database of its own."""
    folder = Path(tempfile.mkdtemp(prefix="entrepot-bench-"))
    with ExitStack() as stack:
        server = stack.enter_context(postgres.started(folder / "postgres", SETTINGS, throw_away=True))
        asyncio.run(migrate.up(server.get_uri(), find_apps(), ROLE))
        return measure(folder, postgres.address(server, ROLE, "postgres"), tell)


def table(result: dict[str, Any]) -> list[str]:
    """As the report shows it."""
    lines = [
        "| figure | without | with | ratio (95 %) | without to without | goal |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for each, unit in FIGURES.items():
        goal = f"< {GOAL}: {result['verdict']}" if each == "p95" else ""
        without, metered = (result["medians"][each][name] for name in ("without", "with"))
        ratio, noise = (
            f"{of['median']:.3f} ({of['interval'][0]:.3f} to {of['interval'][1]:.3f})"
            for of in (result["ratios"][each], result["noise"][each])
        )
        lines.append(f"| {each}, {unit} | {without:.3f} | {metered:.3f} | {ratio} | {noise} | {goal} |")
    return lines


if __name__ == "__main__":
    if sys.argv[1] != "with":
        silence()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[2])))
