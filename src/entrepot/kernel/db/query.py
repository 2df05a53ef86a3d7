"""One SQL statement with named parameters, compiled once to PostgreSQL's positional form."""

import re
from collections.abc import Mapping
from typing import Any

NAMED = re.compile(r"(?<![:\w]):([a-z_][a-z0-9_]*)")
WRITES = re.compile(
    r"\b(insert\s+into|update\s+(only\s+)?[\w.\"]+\s+((as\s+)?\w+\s+)?set|delete\s+from|merge\s+into"
    r"|for\s+(no\s+key\s+)?update|for\s+(key\s+)?share|nextval|setval)\b",
    re.IGNORECASE,
)


class Query:
    """`:name` stands for a value, `::type` for a cast.

    The text never holds a value: a Query is a constant of its module. Colons inside SQL literals are not supported.
    """

    __slots__ = ("names", "sql", "text", "writes")

    def __init__(self, text: str) -> None:
        names: list[str] = []

        def number(match: re.Match[str]) -> str:
            name = match.group(1)
            if name not in names:
                names.append(name)
            return f"${names.index(name) + 1}"

        self.text = text
        self.sql = NAMED.sub(number, text)
        self.names = tuple(names)
        self.writes = WRITES.search(text) is not None

    def bind(self, given: Mapping[str, Any]) -> list[Any]:
        """The values in their order; raises TypeError where a name is missing or unknown."""
        try:
            values = [given[name] for name in self.names]
        except KeyError as missing:
            raise TypeError(f"the statement needs {missing.args[0]!r}: {self.text[:80]}") from None
        if len(given) != len(values):
            raise TypeError(f"the statement does not know {sorted(set(given) - set(self.names))}: {self.text[:80]}")
        return values

    def __repr__(self) -> str:
        return f"Query({' '.join(self.text.split())[:80]!r})"
