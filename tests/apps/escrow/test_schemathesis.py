"""Schemathesis makes up calls from the OpenAPI document: the server answers none otherwise than the document says."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import hypothesis
import pytest
import pytest_asyncio
import requests
import schemathesis
from eth_account import Account
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
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

from entrepot.apps.escrow.model import Party
from entrepot.dev import postgres
from entrepot.kernel.http.openapi import document
from entrepot.kernel.http.route import Who
from tests.apps.escrow.conftest import Caller, SharedChain, opened_market
from tests.apps.escrow.populace import Populace, settle
from tests.apps.escrow.test_authorisation import ENDPOINTS, label
from tests.conftest import cloned

FULL = os.environ.get("FAULTS") == "full"
CASES = 10_000 if FULL else 400
EACH = -(-CASES // len(ENDPOINTS))
SEED = int(os.environ.get("SEED", random.SystemRandom().randrange(10**6)))
NEVER_DONE = {"POST /api/v1/auth/verify"}
"""What takes a signature, which nobody makes up."""
DOCUMENT = document(ENDPOINTS, "Entrepôt", "1")
PATHS = DOCUMENT["paths"]
ALL = schemathesis.openapi.from_dict(DOCUMENT)
ALL.config.generation.update(with_security_parameters=False)  # the sessions are ours
ALL.config.checks.negative_data_rejection.expected_statuses.append("414")
OPERATIONS = {f"{found.ok().method.upper()} {found.ok().path}": found.ok() for found in ALL.get_all_operations()}


def is_right(case: Case, part: ParameterLocation) -> bool:
    """Whether this part of a call was made up in the right form."""
    made = case.meta.components.get(part)
    return made is not None and made.mode.is_positive


def is_declared(_context: CheckContext, answer: Response, case: Case) -> None:
    """The kind of problem is one of those that the document lists for this call and status."""
    if answer.status_code >= 400 and answer.content and case.method.lower() in PATHS[case.operation.path]:
        kind = answer.json()["type"].removeprefix("/problems/")
        described = PATHS[case.operation.path][case.method.lower()]["responses"][str(answer.status_code)]
        assert f"`{kind}`" in described["description"], f"{kind} is not declared"


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
    is_declared,
]


class Bureau:
    """Sends the calls, in a thread of its own: the server lives in the test's loop."""

    def __init__(self, url: str, people: Populace) -> None:
        self.url, self.people = url, people
        self.http = requests.Session()
        self.answers: Counter[int] = Counter()

    def fit(self, case: Case, chosen: int) -> None:
        """Puts what there is in place of what was made up, so that the call gets beyond `not found`.

        A path or a body of a wrong form stays as it is.
        """
        if is_right(case, ParameterLocation.PATH):
            for name in case.path_parameters:
                before = case.operation.path.partition("{" + name)[0].removeprefix("/api/v1/escrow/")
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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bureau(cluster: postgres.Server, chain: SharedChain) -> AsyncIterator[Bureau]:
    """A populous market, and somebody to call it."""
    account = Account.create()
    print(f"SEED={SEED}")
    async with (
        cloned(cluster) as database,
        opened_market(database, chains=(chain.settings,), operators=(account.address,)) as market,
    ):
        await chain.note(market.owner)
        people = await settle(market, Caller(market.http, account), CASES)
        made = Bureau(str(market.http._base_url), people)
        yield made
        made.http.close()


def likely(operation: APIOperation) -> list[str]:
    """Who calls: whoever may most of the time, and now and then somebody who may not."""
    route = next(endpoint.route for endpoint in ENDPOINTS if label(endpoint) == operation.label)
    may = ["operator"] if route.who is Who.OPERATOR else [party.value for party in route.of or Party]
    return [*may * 4, "nobody", "operator", "seller"]


def done(operation: APIOperation) -> int:
    """What is answered when all goes well."""
    endpoint = next(endpoint for endpoint in ENDPOINTS if label(endpoint) == operation.label)
    if endpoint.route.frames:
        return 426
    return 204 if endpoint.signature.answer is None else endpoint.route.status


def at_the_edges(bureau: Bureau, operation: APIOperation) -> None:
    """Calls at the bounds of what the document takes and just beyond, which are always the same."""
    config, session = ALL.config.generation, GenerationSession()
    for case in ALL.iter_coverage_cases(
        operation, generation_modes=list(GenerationMode), generation_config=config, session=session
    ):
        bureau.fit(case, 0)
        bureau.call(case, likely(operation)[0], [*CHECKS, unsupported_method])


def made_up(bureau: Bureau, operation: APIOperation, mode: GenerationMode) -> Callable[[], None]:
    """A test of calls that Schemathesis makes up, of the right form or of a wrong one."""

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EACH // 2,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(
        case=operation.as_strategy(mode),
        who=st.sampled_from(likely(operation)),
        chosen=st.integers(0, 2**64),
    )
    def test(case: Case, who: str, chosen: int) -> None:
        if chosen % 4:
            bureau.fit(case, chosen)
        bureau.call(case, who, CHECKS)

    return test


@pytest.mark.timeout(1800)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=OPERATIONS)
async def test_no_call_is_answered_otherwise_than_the_document_says(bureau: Bureau, operation: APIOperation) -> None:
    bureau.answers.clear()
    await asyncio.to_thread(at_the_edges, bureau, operation)
    for mode in GenerationMode:
        with suppress(Unsatisfiable):  # no call can be of a wrong form where nothing is given
            await asyncio.to_thread(made_up(bureau, operation, mode))
    answers = dict(sorted(bureau.answers.items()))
    print(f"SEED={SEED} {operation.label}: {sum(answers.values())} calls, answered {answers}")
    if FULL and operation.label not in NEVER_DONE:
        assert done(operation) in answers, "it never got as far as being carried out"


def test_every_route_is_called() -> None:
    assert set(OPERATIONS) == {label(endpoint) for endpoint in ENDPOINTS}
