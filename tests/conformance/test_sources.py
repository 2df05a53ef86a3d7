"""The rules of the house that can be read off its files."""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
MOST_LINES = 400
MOST_LINES_OF_A_FUNCTION = 40
ELSEWHERE = re.compile(
    r"(?<![\w.])/(work|root|home/\w+|Users/\w+|var/tmp|opt/(pypi|wheels))/"
    r"|(pypi\.org|pythonhosted\.org|registry\.npmjs\.org|registry\.yarnpkg\.com)|--(extra-)?index-url|--find-links"
)


def files() -> list[Path]:
    """What the repository holds, and what is about to be added to it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    return sorted({PROJECT / name for name in listed.stdout.splitlines() if (PROJECT / name).is_file()})


def sources() -> list[Path]:
    """Every Python file of the project."""
    return [path for path in files() if path.suffix == ".py"]


def told(path: Path) -> str:
    return path.relative_to(PROJECT).as_posix()


@pytest.fixture(autouse=True)
def _in_a_checkout() -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("this is not a git checkout")


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every function with its number of lines, decorators left out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_long() -> None:
    long = {told(path): len(path.read_text().splitlines()) for path in sources()}
    assert {name: lines for name, lines in long.items() if lines > MOST_LINES} == {}


def test_no_function_is_long() -> None:
    long = [
        f"{told(path)}: {name} has {lines} lines"
        for path in sources()
        for name, lines in functions(ast.parse(path.read_text()))
        if lines > MOST_LINES_OF_A_FUNCTION
    ]
    assert long == []


def test_every_file_opens_with_what_it_holds() -> None:
    assert [told(path) for path in sources() if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_nothing_is_imported_inside_a_function() -> None:
    inside = [
        f"{told(path)}:{node.lineno}"
        for path in sources()
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert inside == []


def test_no_room_is_called_after_nothing() -> None:
    assert [told(path) for path in sources() if path.stem in {"utils", "util", "helpers", "helper", "misc"}] == []


def test_no_file_names_a_machine_or_a_registry() -> None:
    named = []
    for path in files():
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        named += [f"{told(path)}:{number}: {line.strip()[:80]}" for number, line in enumerate(lines, 1) if there(line)]
    assert named == []


def there(line: str) -> bool:
    """Whether a line names one; the pattern itself does not count."""
    return ELSEWHERE.search(line) is not None and "opt/(pypi" not in line and "npmjs\\.org" not in line
