"""Writes what was measured as JSON, and as a table in Markdown that names the machine and all versions."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.server import SETTINGS

RESULTS = Path(__file__).with_name("results")


def machine(settings: Mapping[str, str]) -> dict[str, object]:
    """What ran it: processor, cores, memory, load when it ended, versions."""
    model = ""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = lines[0].partition(":")[2].strip() if lines else ""
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": model,
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "load": [round(value, 2) for value in os.getloadavg()],
        "python": platform.python_version(),
        "node": node,
        "postgresql_settings": dict(settings),
    }


def number(value: float) -> str:
    """Thousands with a comma, small ones with two places."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def reads_table(result: dict[str, Any]) -> list[str]:
    """Requests a second, CPU and latency of each server; then the goals."""
    lines = ["| server | read | requests/s, median (min-max) | CPU us/request | p50 ms | p95 ms |", "| --- " * 6 + "|"]
    for server in result["servers"].values():
        for kind in ("lookup", "page"):
            part = server[kind]
            rate = part["per_second"]
            lines.append(
                f"| {server['title']} | {kind} | {rate['median']:,.0f} ({rate['min']:,.0f}-{rate['max']:,.0f}) "
                f"| {part['cpu']['median']:.0f} | {part['p50']['median']:.1f} | {part['p95']['median']:.1f} |"
            )
    for kind, rate in result["pgbench"].items():
        shown = f"{rate['median']:,.0f} ({rate['min']:,.0f}-{rate['max']:,.0f})"
        lines.append(f"| (d) pgbench, prepared | {kind} | {shown} | | | |")
    lines += ["", "| goal | measured | asked | met |", "| --- " * 4 + "|"]
    for goal in result["goals"]:
        met = "yes" if goal["met"] else "NO"
        lines.append(f"| {goal['what']} | {number(goal['value'])} | {number(goal['goal'])} | {met} |")
    lines += [f"\nLeft out: {name}: {reason.splitlines()[0]}" for name, reason in result["left_out"].items()]
    return lines


def targets_table(result: dict[str, Any]) -> list[str]:
    """p50 and p95 of each query target."""
    lines = ["| query | p50 ms | p95 ms | goal ms | calls/s | met |", "| --- " * 6 + "|"]
    for target in result["targets"]:
        met = "yes" if target["p95"] <= target["goal"] else "NO"
        lines.append(
            f"| {target['name']} | {target['p50']:.1f} | {target['p95']:.1f} | {target['goal']:.0f} "
            f"| {target['per_second']:,.0f} | {met} |"
        )
    return lines


def write(
    name: str, title: str, result: dict[str, Any], table: list[str], settings: Mapping[str, str] = SETTINGS
) -> Path:
    """bench/results/<name>.json and .md; the path of the latter. `settings` are the PostgreSQL's that was measured."""
    RESULTS.mkdir(exist_ok=True)
    about = machine(settings)
    (RESULTS / f"{name}.json").write_text(json.dumps({"machine": about, **result}, indent=1) + "\n")
    head = [
        f"# {title}",
        "",
        f"Made by `python -m bench {name}` at {about['at']}: {about['processor']}, {about['cores']} cores, "
        f"{about['memory_gb']} GB, load {about['load']}, Python {about['python']}, Node {about['node']}.",
        "PostgreSQL: " + ", ".join(f"{key} = {value}" for key, value in settings.items()) + ".",
        "",
    ]
    path = RESULTS / f"{name}.md"
    path.write_text("\n".join(head + table) + "\n")
    return path
