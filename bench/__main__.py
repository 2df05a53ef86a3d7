"""Runs the measurements: `python -m bench [escrow_reads] [escrow_targets]`, all when none is named."""

import argparse
import asyncio
import sys

from bench import database, reads, report, server, targets

NAMES = ("escrow_reads", "escrow_targets")


def tell(line: str) -> None:
    """Progress goes to standard error."""
    print(f"  {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Start PostgreSQL, fill it if need be, measure, write the results; 1 when a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all servers")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one run")
    asked = parser.parse_args()
    names = asked.names or NAMES
    postgres = server.start()
    missed = 0
    try:
        dsn = asyncio.run(database.ready(postgres))
        if "escrow_reads" in names:
            result = reads.measure(postgres, dsn, asked.rounds, asked.seconds, tell)
            missed += sum(not goal["met"] for goal in result["goals"])
            print(report.write("escrow_reads", "Reads over HTTP", result, report.reads_table(result)).read_text())
        if "escrow_targets" in names:
            result = targets.run(dsn, min(asked.seconds, 3.0), tell)
            table = report.targets_table(result)
            missed += sum(line.endswith("NO |") for line in table)
            print(report.write("escrow_targets", "Query targets", result, table).read_text())
    finally:
        server.stop(postgres)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
