"""Drives a server with wrk (32 keep-alive connections, one thread) and relates the load to the CPU it took."""

import json
import random
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.processes import Running, ask

CONNECTIONS = 32
SCRIPT = Path(__file__).with_name("wrk.lua")


@dataclass(frozen=True)
class Requests:
    """What to send: lines of `METHOD path [body]`, in a file that wrk reads."""

    file: Path
    lines: list[str]

    @classmethod
    def write(cls, file: Path, lines: list[str]) -> "Requests":
        """Keep the lines in a file for wrk."""
        file.write_text("\n".join(lines) + "\n")
        return cls(file, lines)


@dataclass(frozen=True)
class Run:
    """One run of wrk: requests a second, latencies in milliseconds, server CPU in microseconds a request."""

    per_second: float
    p50: float
    p95: float
    cpu: float
    bytes: float


def check(port: int, requests: Requests, count: int = 50) -> None:
    """Ask for a few by hand before any are counted."""
    for line in random.Random(1).sample(requests.lines, min(count, len(requests.lines))):
        ask(port, line)


def drive(target: Running, requests: Requests, seconds: float) -> Run:
    """One bounded run; any answer other than 2xx or 3xx, or any lost connection, is an error."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise RuntimeError("wrk is not installed: apt-get install -y wrk")
    before = target.cpu_seconds()
    output = subprocess.run(
        [
            wrk,
            "-t1",
            f"-c{CONNECTIONS}",
            f"-d{max(1, round(seconds))}s",
            "--latency",
            "-s",
            str(SCRIPT),
            f"http://127.0.0.1:{target.port}",
            "--",
            str(requests.file),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    ).stdout
    spent = target.cpu_seconds() - before
    found = re.search(r"^RESULT (\{.*\})$", output, re.MULTILINE)
    result = json.loads(found.group(1)) if found else {"requests": 0, "failed": -1}
    if result["failed"] or not result["requests"]:
        raise RuntimeError(f"{target.name}: {result['failed']} of {result['requests']} requests failed\n{output}")
    return Run(
        per_second=result["requests"] / result["microseconds"] * 1e6,
        p50=result["p50_ms"],
        p95=result["p95_ms"],
        cpu=spent / result["requests"] * 1e6,
        bytes=result["bytes"] / result["requests"],
    )
