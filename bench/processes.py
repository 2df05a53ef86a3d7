"""Starts a server for a measurement, waits until it answers, counts its CPU, and ends it by its own id."""

import json
import os
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import server


@dataclass(frozen=True)
class Command:
    """How to start a server: its name, arguments, extra environment and working directory."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    directory: Path


@dataclass(frozen=True)
class Running:
    """A started server and where it listens."""

    name: str
    process: psutil.Process
    port: int

    def tree(self) -> list[psutil.Process]:
        """The process and all below it."""
        return [self.process, *self.process.children(recursive=True)]

    def cpu_seconds(self) -> float:
        """User and system time of the whole tree so far."""
        total = 0.0
        for process in self.tree():
            times = process.cpu_times()
            total += times.user + times.system
        return total


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(port: int, line: str) -> bytes:
    """Send one line by itself; an error unless it is answered by 200 with a JSON object and no GraphQL errors."""
    method, path, *body = line.split(" ", 2)
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    if body:
        request.data = body[0].encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        content: bytes = answer.read()
        if answer.status != 200 or not isinstance(parsed := json.loads(content), dict) or "errors" in parsed:
            raise RuntimeError(f"{line[:200]}: {answer.status} {content[:300]!r}")
    return content


def wait(process: psutil.Popen, port: int, line: str, log: Path, seconds: float = 60) -> None:
    """Until the line is answered well; an error with the log's end when the process dies or time is up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until and process.poll() is None:
        try:
            ask(port, line)
            return
        except (OSError, RuntimeError, ValueError):
            time.sleep(0.1)
    raise RuntimeError(f"no answer to {line} on port {port}\n{log.read_text()[-3000:]}")


def end(process: psutil.Popen) -> None:
    """Ask the tree to stop, and insist after ten seconds."""
    tree = [process, *process.children(recursive=True)] if process.is_running() else []
    for member in tree:
        if member.is_running():
            member.terminate()
    _, alive = psutil.wait_procs(tree, timeout=10)
    for member in alive:
        member.kill()


@contextmanager
def running(command: Command, port: int, ready: str) -> Iterator[Running]:
    """Start the command, wait until it answers the request `ready`, and end it when left."""
    log = server.directory() / f"{command.name}.log"
    with log.open("wb") as output:
        process = psutil.Popen(
            list(command.arguments),
            env={**os.environ, **command.environment},
            cwd=command.directory,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait(process, port, ready, log)
        yield Running(command.name, psutil.Process(process.pid), port)
    finally:
        end(process)
