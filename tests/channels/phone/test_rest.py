"""A company's REST interface: one request, one deadline, and what goes wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from tests.fakes.host import FakeVendor

from antiphon.channels.phone import rest as rest_module
from antiphon.channels.phone.rest import Rest, found
from antiphon.errors import ProviderError


class FakeRest(FakeVendor):
    answer: Response = JSONResponse({"a": 1})

    def routes(self) -> list[BaseRoute]:
        return [Route("/v1/{rest:path}", self._answer, methods=["GET", "POST", "DELETE"])]

    async def _answer(self, request: Request) -> Response:
        self.arrive(request, await request.body())
        if self.faults.silent:
            await request.receive()
        return self.refusal() or self.answer


@pytest.fixture
async def fake() -> AsyncIterator[FakeRest]:
    async with FakeRest() as one:
        yield one


async def test_answers(fake: FakeRest) -> None:
    rest = Rest("acme", f"{fake.http_url}/v1", {"Authorization": "Bearer key"})
    assert await rest.call("POST", "calls", json_body={"x": [1]}) == {"a": 1}
    assert (fake.last.path, fake.last.body) == ("/v1/calls", b'{"x":[1]}')
    assert fake.last.headers["authorization"] == "Bearer key"
    await rest.call("POST", "calls", form={"a": "1", "b[]": ["2", "3"]}, headers={"x-a": "b"})
    assert fake.last.body == b"a=1&b%5B%5D=2&b%5B%5D=3"
    assert fake.last.headers["x-a"] == "b"
    for answer in (Response(status_code=204), JSONResponse([1]), PlainTextResponse("<xml/>")):
        fake.answer = answer
        assert await rest.call("DELETE", "calls/1") == {}
    await rest.aclose()


async def test_refusals(fake: FakeRest) -> None:
    rest = Rest("acme", f"{fake.http_url}/v1")
    fake.faults.status = 404
    assert await rest.call("DELETE", "calls/1", fine=frozenset({404})) == {}
    for status, retryable in ((404, False), (429, True), (503, True), (401, False)):
        fake.faults.status = status
        before = len(fake.connections)
        with pytest.raises(ProviderError, match="refused") as caught:
            await rest.call("POST", "calls", json_body={})
        assert (caught.value.status, caught.value.retryable) == (status, retryable)
        assert len(fake.connections) == before + 1
    await rest.aclose()


async def test_deadline(fake: FakeRest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_module, "ANSWER_MS", 30)
    rest = Rest("acme", f"{fake.http_url}/v1")
    fake.faults.silent = True
    with pytest.raises(ProviderError, match="no answer within") as caught:
        await rest.call("POST", "calls", json_body={})
    assert caught.value.retryable
    await rest.aclose()


def test_names_of_calls() -> None:
    assert found({"sid": "1"}, "acme", "call_sid", "sid") == "1"
    assert found({"data": {"sid": "2"}}, "acme", "sid") == "2"
    assert found({"Call": {"Sid": "3"}}, "acme", "Sid") == "3"
    nothings: tuple[dict[str, object], ...] = ({}, {"sid": 5}, {"data": []}, {"sid": ""})
    for nothing in nothings:
        with pytest.raises(ProviderError, match="was not told") as caught:
            found(nothing, "acme", "sid")
        assert not caught.value.retryable
