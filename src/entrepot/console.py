"""What the command line shows: steps and bars on a terminal, plain lines elsewhere, JSON for a script."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.theme import Theme

THEME = Theme({"good": "green", "bad": "bold red", "note": "yellow", "dim": "bright_black", "name": "bold cyan"})
MARKS = {"good": ("✓", "ok"), "bad": ("✗", "PROBLEM"), "note": ("!", "note")}
OUT = Console(theme=THEME, highlight=False, soft_wrap=True)
ERRORS = Console(theme=THEME, highlight=False, soft_wrap=True, stderr=True)


class Failed(Exception):
    """What was asked could not be done; `mend` is what to do about it."""

    def __init__(self, what: str, mend: str = "") -> None:
        self.what, self.mend = what, mend
        super().__init__(what)


class Step:
    """Something that is being done; `done` may be made more precise while it lasts."""

    def __init__(self, done: str) -> None:
        self.done = done
        self.detail = ""


class Bar:
    """The progress of a long work."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task = progress, task
        self.count = 0

    def advance(self, by: int = 1) -> None:
        """So much more is done."""
        self.count += by
        self._progress.advance(self._task, by)


def line(text: str = "") -> None:
    """A line; [good], [bad], [note], [dim] and [name] colour it on a terminal."""
    OUT.print(text)


def mark(kind: str, text: str, detail: str = "") -> None:
    """A line that says at its beginning how it went."""
    sign, word = MARKS[kind]
    lead = sign if OUT.is_terminal else f"{word}:"
    OUT.print(f"[{kind}]{lead}[/] {text}" + (f"  [dim]{detail}[/]" if detail else ""))


@contextmanager
def step(doing: str, done: str) -> Iterator[Step]:
    """A spinner while it lasts, then one line with the seconds that it took."""
    began, noted = monotonic(), Step(done)
    if OUT.is_terminal:
        with OUT.status(f"[dim]{doing}[/]"):
            yield noted
    else:
        yield noted
    detail = "  ".join(part for part in (noted.detail, f"{monotonic() - began:.1f} s") if part)
    mark("good", noted.done, detail)


@contextmanager
def bar(doing: str, total: int, done: str) -> Iterator[Bar]:
    """A progress bar on a terminal while it lasts, then one line with the seconds that it took."""
    began = monotonic()
    columns = (TextColumn("  {task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=OUT, transient=True, disable=not OUT.is_terminal)
    with progress:
        made = Bar(progress, progress.add_task(doing, total=total))
        yield made
    mark("good", done, f"{monotonic() - began:.1f} s")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere columns parted by tabs."""
    if not OUT.is_terminal:
        for row in (headings, *rows):
            print("\t".join(row))
        return
    drawn = Table(*headings, box=None, header_style="dim", pad_edge=False)
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    OUT.print(drawn)


def panel(title: str, rows: Sequence[tuple[str, str]]) -> None:
    """Names and what they are, in a frame on a terminal."""
    if not OUT.is_terminal:
        line(title)
        for name, value in rows:
            line(f"  {name}: {value}")
        return
    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(f"[dim]{name}[/]", value)
    grid.columns[1].overflow = "fold"
    OUT.print(Panel(grid, title=f"[name]{title}[/]", title_align="left", border_style="dim", expand=False))


def as_json(document: Any) -> None:
    """A document for a script, alone on standard output."""
    print(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def complain(failed: Failed) -> None:
    """What went wrong, and what mends it, on standard error."""
    ERRORS.print(f"[bad]{'✗' if ERRORS.is_terminal else 'error:'}[/] {escape(failed.what)}")
    if failed.mend:
        ERRORS.print(f"  [dim]→[/] {escape(failed.mend)}" if ERRORS.is_terminal else f"  {failed.mend}")
