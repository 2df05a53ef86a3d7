"""Calls that Schemathesis makes up from the OpenAPI document, and what must hold of every answer."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, CheckContext, GenerationMode, Response
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.coverage import GenerationSession
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from entrepot.kernel.http.endpoint import Endpoint
from tests.matrix import Matrix, label


@dataclass
class People:
    """Who may call, by name, and what there is for each name of a parameter."""

    tokens: dict[str, str]
    spare: Iterator[str]
    """Sessions to sign out of; the callers' own are needed for the next call."""
    known: dict[str, list[Any]]


def is_right(case: Case, part: ParameterLocation) -> bool:
    """Whether this part of a call was made up in the right form."""
    made = case.meta.components.get(part)
    return made is not None and made.mode.is_positive


class Told:
    """What the document says of these endpoints."""

    def __init__(self, matrix: Matrix, endpoints: list[Endpoint]) -> None:
        self.prefix = matrix.prefix
        self.paths = matrix.document["paths"]
        self.endpoints = {label(each): each for each in endpoints}
        self.all = schemathesis.openapi.from_dict(matrix.document)
        self.all.config.generation.update(with_security_parameters=False)  # the sessions are ours
        found = [each.ok() for each in self.all.get_all_operations()]
        named = {f"{each.method.upper()} {each.path}": each for each in found}
        self.operations = {name: each for name, each in named.items() if name in self.endpoints}
        self.checks: list[CheckFunction] = [
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_headers_conformance,
            response_schema_conformance,
            negative_data_rejection,
            self.is_declared,
        ]

    def is_declared(self, _context: CheckContext, answer: Response, case: Case) -> None:
        """The kind of problem is one of those that the document lists for this call and status."""
        is_problem = "problem+json" in "".join(answer.headers.get("content-type", ()))
        if answer.status_code >= 400 and is_problem and case.method.lower() in self.paths[case.operation.path]:
            kind = answer.json()["type"].removeprefix("/problems/")
            described = self.paths[case.operation.path][case.method.lower()]["responses"][str(answer.status_code)]
            assert f"`{kind}`" in described["description"], f"{kind} is not declared"


class Bureau:
    """Sends the calls, in a thread of its own: the server lives in the test's loop."""

    def __init__(self, url: str, people: People, told: Told) -> None:
        self.url, self.people, self.told = url, people, told
        self.http = requests.Session()
        self.answers: Counter[int] = Counter()

    def fit(self, case: Case, chosen: int) -> None:
        """Puts what there is in place of what was made up, so that the call gets beyond `not found`.

        A path or a body of a wrong form stays as it is.
        """
        if is_right(case, ParameterLocation.PATH):
            for name in case.path_parameters:
                before = case.operation.path.partition("{" + name)[0].removeprefix(self.told.prefix)
                self.put(case.path_parameters, name, f"{before}{{{name}}}", chosen)
        if is_right(case, ParameterLocation.BODY) and isinstance(case.body, dict):
            for name in case.body:
                self.put(case.body, name, name, chosen)

    def put(self, into: Any, name: str, place: str, chosen: int) -> None:
        known = self.people.known.get(place) or self.people.known.get(name)
        if known and isinstance(into[name], type(known[0])):
            into[name] = random.Random(chosen).choice(known)

    def call(self, case: Case, who: str, checks: list[CheckFunction]) -> None:
        """One call, and what must hold of its answer."""
        token = next(self.people.spare) if who != "nobody" and "logout" in case.path else self.people.tokens[who]
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = case.call(base_url=self.url, session=self.http, headers=headers)
        self.answers[answer.status_code] += 1
        case.validate_response(answer, checks=checks, headers=headers, transport_kwargs={"base_url": self.url})

    def at_the_edges(self, operation: APIOperation, who: str) -> None:
        """Calls at the bounds of what the document takes and just beyond, which are always the same."""
        config, session = self.told.all.config.generation, GenerationSession()
        for case in self.told.all.iter_coverage_cases(
            operation, generation_modes=list(GenerationMode), generation_config=config, session=session
        ):
            self.fit(case, 0)
            self.call(case, who, [*self.told.checks, unsupported_method])

    def made_up(
        self, operation: APIOperation, mode: GenerationMode, likely: list[str], *, many: int, seed: int
    ) -> Callable[[], None]:
        """A test of calls that Schemathesis makes up, of the right form or of a wrong one."""

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=many,
            database=None,
            deadline=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(mode), who=st.sampled_from(likely), chosen=st.integers(0, 2**64))
        def test(case: Case, who: str, chosen: int) -> None:
            if chosen % 4:
                self.fit(case, chosen)
            self.call(case, who, self.told.checks)

        return test
