"""Endpoints whose requests are traced: a span for each, with route and status, below the caller's own."""

from typing import Any

from entrepot.kernel.http.call import Call, Reply
from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.tracing import Tracing


class TracedEndpoint(Endpoint):
    """An endpoint of a process that is traced; the others know nothing of traces."""

    def __init__(self, tracing: Tracing, *of_route: Any) -> None:
        super().__init__(*of_route)
        self.tracing = tracing

    async def respond(self, call: Call) -> Reply:
        """As any endpoint, within a span."""
        with self.tracing.request(self.route.method, self.url, call.headers) as span:
            made = await super().respond(call)
            span.answered(made.status)
            return made
