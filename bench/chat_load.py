"""The load, as a process of its own: reads what to do from standard input, and writes what came of it as JSON."""

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil
import uvloop

from bench.chat_wire import Ids, Line, Requests, Stream, Talker, connect

ROOT = Path(__file__).parents[1]
KINDS: Mapping[str, type[Line]] = {"stream": Stream, "http": Requests}
AT_ONCE = 50
"""So many connections begin at a time."""


@dataclass(frozen=True)
class Plan:
    """What to do. `peers[n]` is the place of the line that hears what line n says."""

    mode: str
    kind: str
    port: int
    talkers: Sequence[Talker]
    peers: Sequence[int] = ()
    seconds: float = 8.0
    warm: float = 2.0
    in_flight: int = 1
    per_second: float = 500.0
    watched: Mapping[str, int] | None = None
    """Process ids whose trees' CPU is counted, by name."""


def percentiles(taken: list[float]) -> dict[str, float]:
    """In milliseconds."""
    taken = sorted(taken) or [0.0]
    found = {f"p{each}": taken[min(len(taken) - 1, len(taken) * each // 100)] * 1e3 for each in (50, 95, 99)}
    return {**found, "highest": taken[-1] * 1e3}


class Clock:
    """The CPU of everybody concerned, and the time, since it was made."""

    def __init__(self, watched: Mapping[str, int]) -> None:
        self.watched = watched
        self.began, self.spent = time.perf_counter(), self._spent()

    def _spent(self) -> dict[str, float]:
        own = resource.getrusage(resource.RUSAGE_SELF)
        found = {"client": own.ru_utime + own.ru_stime}
        for name, pid in self.watched.items():
            root = psutil.Process(pid)
            times = [each.cpu_times() for each in (root, *root.children(recursive=True))]
            found[name] = sum(each.user + each.system for each in times)
        return found

    def stop(self, messages: int) -> dict[str, Any]:
        """Messages a second, and microseconds of CPU a message."""
        seconds, now = time.perf_counter() - self.began, self._spent()
        cpu = {name: (now[name] - was) / max(1, messages) * 1e6 for name, was in self.spent.items()}
        return {"messages": messages, "seconds": seconds, "per_second": messages / seconds, "cpu": cpu}


class Load:
    """The lines of a plan, and when each message was said."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.ids = plan, Ids()
        self.lines: list[Line] = []
        self.said: dict[bytes, float] = {}
        self.acknowledged: list[float] = []
        self.goes_on = True

    async def open(self, answered: Callable[[Line, bytes], None]) -> None:
        """Everybody is there."""
        plan = self.plan
        for first in range(0, len(plan.talkers), AT_ONCE):
            some = plan.talkers[first : first + AT_ONCE]
            self.lines += await asyncio.gather(*(connect(KINDS[plan.kind], plan.port, t, answered) for t in some))

    def say(self, line: Line, at: float | None = None) -> bytes:
        """Another message; `at` is when it was to be said."""
        message = self.ids.next()
        self.said[message] = time.perf_counter() if at is None else at
        line.say(message)
        return message

    def check(self) -> None:
        """Raises what went wrong."""
        if failed := [line.failure for line in self.lines if line.failure]:
            raise RuntimeError(f"{len(failed)} lines failed: {failed[0]}")


async def closed(plan: Plan) -> dict[str, Any]:
    """Each line says the next as soon as one is acknowledged."""
    load = Load(plan)

    def answered(line: Line, message: bytes) -> None:
        load.acknowledged.append(time.perf_counter() - load.said.pop(message))
        if load.goes_on:
            load.say(line)

    await load.open(answered)
    for line in load.lines:
        for _ in range(plan.in_flight):
            load.say(line)
    await asyncio.sleep(plan.warm)
    load.check()
    clock, first, heard = Clock(plan.watched or {}), len(load.acknowledged), sum(line.heard for line in load.lines)
    await asyncio.sleep(plan.seconds)
    found = clock.stop(len(load.acknowledged) - first)
    found["heard_per_second"] = (sum(line.heard for line in load.lines) - heard) / found["seconds"]
    found["acknowledged_ms"] = percentiles(load.acknowledged[first:])
    load.goes_on = False
    load.check()
    return found


async def steady(plan: Plan) -> dict[str, Any]:
    """So many a second, whatever becomes of them: from when each was due to when its peer has it."""
    load, received = Load(plan), list[float]()

    def answered(_line: Line, message: bytes) -> None:
        load.acknowledged.append(time.perf_counter() - load.said[message])

    def told(line: Line, message: bytes) -> None:
        if message in load.said and line is to.get(message):
            received.append(time.perf_counter() - load.said[message])
            del to[message]

    to: dict[bytes, Line] = {}
    await load.open(answered)
    for line in load.lines:
        line.told = told
    count = int((plan.warm + plan.seconds) * plan.per_second)
    clock, began = Clock(plan.watched or {}), time.perf_counter()
    for number in range(count):
        due = began + number / plan.per_second
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        place = number * 7 % len(load.lines)
        to[load.say(load.lines[place], due)] = load.lines[plan.peers[place]]
    for _ in range(100):
        if not to:
            break
        await asyncio.sleep(0.1)
    load.check()
    warm = int(plan.warm * plan.per_second)
    return {
        "offered": plan.per_second,
        "lost": len(to),
        "cpu": clock.stop(count)["cpu"],
        "received_ms": percentiles(received[warm:]),
        "acknowledged_ms": percentiles(load.acknowledged[warm:]),
    }


async def fan_out(plan: Plan) -> dict[str, Any]:
    """One says, everybody hears: first one message after the other, then several at a time."""
    load, missing, last = Load(plan), dict[bytes, int](), list[float]()
    heard = asyncio.Event()

    def told(_line: Line, message: bytes) -> None:
        missing[message] -= 1
        if not missing[message]:
            last.append(time.perf_counter() - load.said[message])
            del missing[message]
            heard.set()

    await load.open(lambda _line, _message: None)
    for line in load.lines:
        line.told = told

    async def say(room: int) -> None:
        while len(missing) >= room:
            heard.clear()
            await asyncio.wait_for(heard.wait(), 30)
        missing[load.say(load.lines[0])] = len(load.lines)

    for _ in range(5):
        await say(1)
    last.clear()
    until = time.perf_counter() + plan.seconds
    while time.perf_counter() < until:
        await say(1)
    alone = percentiles(last)
    clock, before = Clock(plan.watched or {}), sum(line.heard for line in load.lines)
    until = time.perf_counter() + plan.seconds
    while time.perf_counter() < until:
        await say(plan.in_flight)
    found = clock.stop(sum(line.heard for line in load.lines) - before)
    load.check()
    return {"members": len(load.lines), "to_the_last_ms": alone, "deliveries": found}


MODES = {"closed": closed, "steady": steady, "fan_out": fan_out}


def run(plan: Plan) -> dict[str, Any]:
    """In a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "bench.chat_load"],
        input=json.dumps(asdict(plan)).encode(),
        capture_output=True,
        cwd=ROOT,
        timeout=plan.warm + 3 * plan.seconds + 120,
        check=False,
    )
    if ran.returncode:
        raise RuntimeError(f"the load broke: {ran.stderr.decode()[-1500:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


if __name__ == "__main__":
    given = json.load(sys.stdin)
    asked = Plan(**{**given, "talkers": [Talker(**each) for each in given["talkers"]]})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        json.dump(runner.run(MODES[asked.mode](asked)), sys.stdout)
