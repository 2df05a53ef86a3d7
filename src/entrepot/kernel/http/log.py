"""The access log: one JSON line a request, written together several times a second. No addresses, no tokens."""

import asyncio
import sys
from typing import TextIO

from entrepot.kernel.meters import meters

FLUSH_SECONDS = 0.25
MOST_LINES = 2_000


class AccessLog:
    """Collects lines and hands them to the stream in one write, so that a request pays for none.

    A line holds method, route template (never the path with its ids), status and milliseconds.
    """

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self.stream = stream
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._meters = meters()

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Notes and measures one answered request."""
        self._meters.observe_request(method, route, status, seconds)
        self._lines.append(f'{{"method":"{method}","route":"{route}","status":{status},"ms":{seconds * 1000:.2f}}}\n')
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)
        elif len(self._lines) >= MOST_LINES:
            self.flush()

    def flush(self) -> None:
        """Writes what was collected."""
        self._meters.hand_on()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        self.stream.write("".join(lines))
        self.stream.flush()
