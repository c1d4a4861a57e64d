"""Lookups over HTTP: what is found, what is missing, and of which moment the answer is."""

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.console.lookups import lookups
from services.console.online import OnlineView
from shared.log.memory import MemoryLog
from shared.online.memory import MemoryOnline
from shared.online.redis_store import RedisOnline
from tests.kit.online import Clock, predict, problem
from tests.kit.redis_server import Server, redis_name, redis_own

__all__ = ["redis_name", "redis_own"]
PROBLEM = problem()


def asked(app: FastAPI, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


class Bench:
    """A log, a view, and a client of the routes over it."""

    def __init__(self, token: str | None = None) -> None:
        self.clock, self.log, self.store = Clock(), MemoryLog(), MemoryOnline(100)
        self.view = OnlineView(self.store, PROBLEM, self.clock)
        app = FastAPI()
        app.include_router(lookups(self.store, token, self.clock))
        self.app = app

    def get(self, path: str, **headers: str) -> tuple[int, dict[str, Any]]:
        answer = asked(self.app, path, headers)
        return answer.status_code, answer.json()


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    predict(made.log, 0, 120)
    return made


def test_an_entity_is_its_newest_features_and_prediction(bench: Bench) -> None:
    bench.view.step(bench.log)
    status, body = bench.get("/v1/entities/key7")
    assert status == 200
    assert body["features"] == {"nth": 107.0, "lag_1": 106.0, "missing": None}
    assert body["prediction"]["id"] == "id107"
    assert body["prediction"]["model"] == "v1"
    assert not {"said", "arrival"} & body["prediction"].keys()
    assert body["position"] == 107
    assert body["view"] == {
        "state": "current",
        "as_of": "2026-01-01T00:00:00Z",
        "age_s": 0.0,
        "positions": {"predictions": 120},
    }


def test_a_prediction_is_found_by_its_id_also_with_a_slash(bench: Bench) -> None:
    bench.view.step(bench.log)
    status, body = bench.get("/v1/predictions/id30")
    assert (status, body["id"], body["position"]) == (200, "id30", 30)
    assert body["prediction"]["probabilities"] == {"up": 0.75, "down": 0.25}
    status, body = bench.get("/v1/predictions/topic/0/12")
    assert (status, body["missing"]) == (404, "topic/0/12")


def test_missing_is_said_with_how_far_the_view_is(bench: Bench) -> None:
    bench.view.step(bench.log)
    status, body = bench.get("/v1/entities/nobody")
    assert status == 404
    assert body["missing"] == "nobody"
    assert "never seen" in body["reason"]
    assert body["view"]["positions"] == {"predictions": 120}
    assert body["view"]["age_s"] == 0.0


def test_nothing_is_given_while_the_view_is_being_built(bench: Bench) -> None:
    assert bench.get("/v1/entities/key7")[1]["view"]["state"] == "building"
    bench.view.step(bench.log, 60)
    found, _ = bench.store.get("entity", "key7")
    assert found is not None, "an older value is there"
    for path in ("/v1/entities/key7", "/v1/predictions/id7"):
        status, body = bench.get(path)
        assert status == 404
        assert "being built" in body["reason"]
        assert body["view"] == {
            "state": "building",
            "as_of": None,
            "age_s": None,
            "positions": {"predictions": 60},
        }


def test_a_view_that_nobody_keeps_in_step_says_that_it_is_behind(bench: Bench) -> None:
    bench.view.step(bench.log)
    bench.clock.pass_s(4.9)
    assert bench.get("/v1/entities/key7")[1]["view"]["state"] == "current"
    bench.clock.pass_s(37.1)
    status, body = bench.get("/v1/entities/key7")
    assert status == 200
    assert (body["view"]["state"], body["view"]["age_s"]) == ("behind", 42.0)
    assert "may be there by now" in bench.get("/v1/entities/nobody")[1]["reason"]


def test_with_a_token_lookups_want_it() -> None:
    bench = Bench(token="secret")
    bench.view.step(bench.log)
    assert bench.get("/v1/entities/key7")[0] == 401
    assert bench.get("/v1/predictions/id7", Authorization="Bearer wrong")[0] == 401
    assert bench.get("/v1/predictions/id7", Authorization="Bearer secret")[0] == 404


def test_a_store_that_is_down_is_no_answer(redis_own: Server, redis_name: str) -> None:
    store = RedisOnline(redis_own.url, redis_name, 100, 0.2)
    app = FastAPI()
    app.include_router(lookups(store))
    redis_own.stop()
    answer = asked(app, "/v1/entities/key7")
    store.close()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert "does not answer" in answer.json()["detail"]
