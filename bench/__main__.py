"""Runs the measurements: `python -m bench [escrow_reads] [escrow_targets] ...`, all when none is named."""

import argparse
import asyncio
import sys
from collections.abc import Sequence

from bench import chat, chat_report, database, delay, mirror, monitor, reads, report, retention, server, targets
from entrepot.dev import postgres

FULL_SIZE = ("escrow_reads", "escrow_targets")
"""These go by a database with a whole market in it, which takes minutes to fill the first time."""
NAMES = (*FULL_SIZE, "escrow_mirror", "escrow_latency", "retention", "monitor", "chat")


def tell(line: str) -> None:
    """Progress goes to standard error."""
    print(f"  {line}", file=sys.stderr, flush=True)


def full_size(names: Sequence[str], rounds: int, seconds: float) -> int:
    """Reads of a full market; how many goals were missed."""
    running, missed = server.start(), 0
    try:
        dsn = asyncio.run(database.ready(running))
        if "escrow_reads" in names:
            result = reads.measure(running, dsn, rounds, seconds, tell)
            missed += sum(not goal["met"] for goal in result["goals"])
            print(report.write("escrow_reads", "Reads over HTTP", result, report.reads_table(result)).read_text())
        if "escrow_targets" in names:
            result = targets.run(dsn, min(seconds, 3.0), tell)
            table = report.targets_table(result)
            missed += sum(line.endswith("NO |") for line in table)
            print(report.write("escrow_targets", "Query targets", result, table).read_text())
    finally:
        server.stop(running)
    return missed


def from_the_chain(names: Sequence[str], rounds: int) -> int:
    """What the mirror does, on databases of its own; how many goals were missed."""
    missed = 0
    if "escrow_mirror" in names:
        result = mirror.run(rounds, tell)
        missed += result["median"] < result["goal"]
        table = mirror.table(result)
        print(report.write("escrow_mirror", "Catching up with a chain", result, table, mirror.SETTINGS).read_text())
    if "escrow_latency" in names:
        result = delay.run(tell)
        missed += result["p95"] > result["goal"]
        table = delay.table(result)
        print(report.write("escrow_latency", "From block to API", result, table, postgres.SETTINGS).read_text())
    return missed


def of_upkeep(names: Sequence[str], rounds: int) -> int:
    """What keeps the data small; how many goals were missed."""
    missed = 0
    if "monitor" in names:
        result = monitor.run(tell)
        print(report.write("monitor", "Instrumentation", result, monitor.table(result), monitor.SETTINGS).read_text())
        missed += result["verdict"] == "missed"
    if "retention" in names:
        result = retention.run(rounds, tell)
        print(report.write("retention", "Retention", result, retention.table(result), retention.SETTINGS).read_text())
        shares = [retention.share(result["median"], part) for part in ("write_seconds", "proven_seconds")]
        missed += sum(each < result["goal"] for each in shares)
    return missed


def of_chat(seconds: float) -> int:
    """Sends, delivery and reads on a full table, beside Synapse; how many goals were missed."""
    result = chat.run(seconds, tell)
    table = chat_report.table(result)
    print(report.write("chat", "Chat", result, table, chat.SETTINGS).read_text())
    return chat_report.missed(result)


def main() -> int:
    """Measure, write the results; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all servers, or of catching up")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one run")
    asked = parser.parse_args()
    names = asked.names or NAMES
    missed = full_size(names, asked.rounds, asked.seconds) if set(names) & set(FULL_SIZE) else 0
    missed += from_the_chain(names, asked.rounds) + of_upkeep(names, asked.rounds)
    missed += of_chat(2 * asked.seconds) if "chat" in names else 0
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
