"""Calls that are made from the declarations: every route of an app with its documented example, fit to a scene."""

import copy
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from entrepot.kernel.http.endpoint import Endpoint
from entrepot.kernel.http.openapi import document
from entrepot.kernel.settings import Settings
from entrepot.main import House
from tests.callers import Caller


@dataclass
class Given:
    """What stands in the path, and what of the documented example must be otherwise to fit the scene."""

    path: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    whole: bool = False
    """The body is what is given, and nothing of the example."""


class Matrix:
    """The routes of an app and of the house, and what their document says."""

    def __init__(self, app: str) -> None:
        settings = Settings(database_url="postgresql://nobody@nowhere.invalid/nothing", apps=(app,))
        self.prefix = f"/api/v1/{app}/"
        self.endpoints = House(settings).endpoints()
        self.document = document(self.endpoints, "Entrepôt", "1")

    @property
    def own(self) -> list[Endpoint]:
        """Those of the app alone."""
        return [each for each in self.endpoints if each.url.startswith(self.prefix)]

    async def ask(self, endpoint: Endpoint, caller: Caller, given: Given) -> tuple[int, Any]:
        """The documented example, made to fit the scene."""
        told = self.document["paths"][endpoint.url][endpoint.route.method.lower()]
        missing = set(endpoint.route.path_names) - set(given.path)
        assert not missing, f"the scene of {label(endpoint)} names no {missing}"
        path = endpoint.url.format(**given.path).removeprefix(self.prefix).removeprefix("/api/v1/")
        more: dict[str, Any] = {}
        if "requestBody" in told:
            example = copy.deepcopy(told["requestBody"]["content"]["application/json"]["example"])
            more["json"] = given.body if given.whole else {**example, **given.body}
        elif given.body:
            more["params"] = given.body
        answer = await caller.call(endpoint.route.method, path, key=str(uuid4()), **more)
        return answer.status, answer.body


def label(endpoint: Endpoint) -> str:
    return f"{endpoint.route.method} {endpoint.url}"


def carried_out(endpoint: Endpoint) -> int:
    """What is answered when all goes well; a stream decides who may listen before it asks for a WebSocket."""
    if endpoint.route.frames:
        return 426
    return 204 if endpoint.signature.answer is None else endpoint.route.status
