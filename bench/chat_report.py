"""The table of chat's measurements: the goals first, then all figures, ours beside Synapse's."""

from collections.abc import Mapping
from typing import Any

CAVEAT = (
    "Synapse keeps a federated state graph of each room too, signs every event and checks who may send it against that "
    "state, and answers in Matrix's own protocol; ours does nothing of this. One process each, as both are started by "
    "default; presence and federation are off in it and its rate limits are raised."
)
Goal = tuple[str, float, float, bool, str]
"""What, measured, asked, whether more is better, and the unit."""


def goals(result: Mapping[str, Any]) -> list[Goal]:
    """Each with what was measured."""
    ours, theirs = result["ours"], result["synapse"]
    rate = ours["stream"]["per_second"]
    found: list[Goal] = [
        ("acknowledged over the stream", rate, 5_000, True, "messages/s"),
        ("send to receive at 500 messages/s, p95", ours["steady"]["received_ms"]["p95"], 25, False, "ms"),
        ("by Synapse's messages/s, over the stream", rate / theirs["http"]["per_second"], 20, True, "times"),
    ]
    return found + [(f"{read['name']}, p95", read["p95"], read["goal"], False, "ms") for read in result["reads"]]


def is_met(goal: Goal) -> bool:
    """Whether it is."""
    _, measured, asked, is_more, _ = goal
    return measured >= asked if is_more else measured <= asked


def missed(result: Mapping[str, Any]) -> int:
    """How many are not."""
    return sum(not is_met(each) for each in goals(result))


def number(value: float) -> str:
    """Thousands with a comma, small ones with a place."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def latency(found: Mapping[str, float]) -> str:
    """Three percentiles."""
    return " / ".join(number(found[name]) for name in ("p50", "p95", "p99"))


def cpu(found: Mapping[str, float]) -> str:
    """Microseconds a message, of each."""
    return ", ".join(f"{name} {value:,.0f}" for name, value in found.items())


def table(result: Mapping[str, Any]) -> list[str]:
    """As the report shows it."""
    data = result["data"]
    lines = [
        f"PostgreSQL {data['postgresql']}, commits durable; {data['messages']:,} messages in {data['partitions']}",
        f"monthly partitions, {data['users']:,} users, {data['conversations']:,} conversations,",
        f"{data['octets'] / 2**30:.1f} GiB.",
        f"`entrepot serve` with {result['workers']} process; client, server and PostgreSQL share the machine.",
        "",
        "| goal | measured | asked | met |",
        "| --- | ---: | ---: | --- |",
    ]
    for goal in goals(result):
        what, measured, asked, is_more, unit = goal
        sign = "at least" if is_more else "at most"
        met = "yes" if is_met(goal) else "NO"
        lines.append(f"| {what} | {number(measured)} {unit} | {sign} {number(asked)} | {met} |")
    return [*lines, "", *sends(result), "", *reads(result), "", *grouping(result["grouping"]), "", CAVEAT]


def sends(result: Mapping[str, Any]) -> list[str]:
    """Sending and delivery, ours and theirs."""
    ours, theirs = result["ours"], result["synapse"]
    lines = [
        "| 200 connections, 100 pairs, 512 octets | messages/s | acknowledged, p50 / p95 / p99 ms | CPU µs a message |",
        "| --- | ---: | ---: | --- |",
    ]
    rows = {
        "calls over the stream, 8 in flight each; both of a pair hear each message": ours["stream"],
        "POST, one at a time each": ours["http"],
        f"Synapse {theirs['version']}, PUT, one at a time each": theirs["http"],
    }
    for name, one in rows.items():
        shown = latency(one["acknowledged_ms"])
        lines.append(f"| {name} | {number(one['per_second'])} | {shown} | {cpu(one['cpu'])} |")
    steady, group = ours["steady"], ours["group"]
    by_request = ours["http"]["per_second"] / theirs["http"]["per_second"]
    delivered = group["deliveries"]
    return [
        *lines,
        "",
        f"By plain requests alone it is {by_request:.0f} times Synapse's.",
        "",
        "| from send to receive | p50 / p95 / p99 ms |",
        "| --- | ---: |",
        f"| {number(steady['offered'])} messages/s offered, to the other's socket | {latency(steady['received_ms'])} |",
        f"| a group of {group['members']:,}: to the last member's socket | {latency(group['to_the_last_ms'])} |",
        f"| Synapse, at 5 messages/s, by /sync | {latency(theirs['received_ms'])} |",
        "",
        f"In the group {number(delivered['per_second'])} deliveries/s, with four messages on their way; CPU µs a "
        f"delivery: {cpu(delivered['cpu'])}.",
    ]


def reads(result: Mapping[str, Any]) -> list[str]:
    """What eight clients wait for."""
    lines = ["| eight clients | p50 / p95 / p99 ms | a second |", "| --- | ---: | ---: |"]
    theirs = result["synapse"]
    rows = {
        **{each["name"]: each for each in result["reads"]},
        **{f"HTTP: {each['name']}": each for each in result["ours"]["requests"]},
        "Synapse: page of 50": theirs["page"],
        "Synapse: room creation": theirs["creation"],
    }
    return lines + [f"| {name} | {latency(one)} | {number(one['per_second'])} |" for name, one in rows.items()]


def grouping(result: Mapping[str, Any]) -> list[str]:
    """With and without."""
    names = {"together": "sends of 200 share their commits", "alone": "each in its own transaction, 20 connections"}
    lines = [
        "| without sockets | messages/s | acknowledged, p50 / p95 / p99 ms | CPU µs |",
        "| --- | ---: | ---: | --- |",
    ]
    for key, name in names.items():
        one = result[key]
        shown = latency(one["acknowledged_ms"])
        lines.append(f"| {name} | {number(one['per_second'])} | {shown} | {cpu(one['cpu'])} |")
    return lines
