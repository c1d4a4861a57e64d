"""Scoring over HTTP on the embedded system: the answer is the very record on the log."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from shared.messages.streams import EVENTS, LABELS, OUTCOMES, PREDICTIONS, REJECTED, Stream
from tests.kit.serving import System, small_problem, system


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with system(small_problem(), tmp_path_factory.mktemp("run")) as running:
        yield running


def event(name: str, a: float = 1.0, minute: int = 0, **more: Any) -> dict[str, Any]:
    return {"id": name, "at": f"2026-01-01T00:{minute:02}:00Z", "a": a, "b": 2.0, **more}


def stored(running: System, stream: Stream) -> list[bytes]:
    return [r.value for r in running.embedded.log.read((stream,), {}, 100_000)]


def test_the_answer_is_the_record_on_the_log(served: System) -> None:
    answer = served.client.post("/v1/score", json=event("one"))
    assert answer.status_code == 200, answer.text
    assert answer.content in stored(served, PREDICTIONS)
    said = answer.json()
    assert (said["id"], said["model"], said["features"]) == ("one", "v1", {"a": 1.0, "b": 2.0})


def test_a_reject_is_answered_with_its_reason(served: System) -> None:
    answer = served.client.post("/v1/score", json=event("high", a=101))
    assert answer.status_code == 422
    assert (answer.json()["check"], answer.json()["field"]) == ("range", "a")
    assert answer.content in stored(served, REJECTED)
    garbage = served.client.post("/v1/score", content=b'{"id": ')
    assert (garbage.status_code, garbage.json()["check"]) == (422, "json")


def test_a_list_is_answered_in_its_order(served: System) -> None:
    events = [event("l1"), event("l2", a=-5), event("l3", a=3.0), event("l1")]
    answer = served.client.post("/v1/score", json=events)
    assert answer.status_code == 200
    rows = answer.json()
    assert [row["status"] for row in rows] == [200, 422, 200, 200]
    assert [row["record"].get("id") for row in rows] == ["l1", None, "l3", "l1"]
    single = served.client.post("/v1/score", json=[event("l1")]).json()
    assert single == [rows[0]]


def test_an_id_that_comes_again_gets_the_first_prediction(served: System) -> None:
    first = served.client.post("/v1/score", json=event("again", a=5.0))
    before = len(stored(served, EVENTS))
    again = served.client.post("/v1/score", json=event("again", a=50.0))
    assert (again.status_code, again.content) == (200, first.content)
    assert len(stored(served, EVENTS)) == before


def test_many_at_once_get_each_its_own(served: System) -> None:
    def post(number: int) -> tuple[int, float]:
        answer = served.client.post("/v1/score", json=event(f"m{number // 2}", a=number // 2))
        assert answer.status_code == 200, answer.text
        return number, answer.json()["features"]["a"]

    with ThreadPoolExecutor(8) as pool:
        for number, a in pool.map(post, range(80)):
            assert a == number // 2
    names = [json.loads(value)["id"] for value in stored(served, PREDICTIONS)]
    assert len(names) == len(set(names))


def test_a_prediction_takes_its_label_like_any_other(served: System) -> None:
    served.client.post("/v1/score", json=event("labelled"))
    before = len(stored(served, OUTCOMES))
    assert served.client.post("/labels", json={"id": "labelled", "label": 1}).status_code == 202
    served.client.post("/v1/score", json=event("after"))
    assert len(stored(served, OUTCOMES)) == before + 1


def test_too_many_at_once_are_refused(served: System) -> None:
    answer = served.client.post("/v1/score", json=[event(f"x{n}") for n in range(1_001)])
    assert answer.status_code == 413


def test_full_means_come_back_later(tmp_path: Path) -> None:
    with system(small_problem(), tmp_path) as running:
        running.waiters._most = 2
        answer = running.client.post("/v1/score", json=[event(f"f{n}") for n in range(3)])
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        assert stored(running, EVENTS) == []
        assert running.client.post("/v1/score", json=event("f1")).status_code == 200


def test_in_time_or_told_what_to_do(tmp_path: Path) -> None:
    """A name from the answer of 504 makes a repetition safe although events have no id here."""
    with system(small_problem(id=None, time=None), tmp_path, timeout_s=0.4) as running:
        running.going.clear()
        assert running.paused.wait(10)
        late = running.client.post("/v1/score", json={"a": 2, "b": 2})
        assert late.status_code == 504
        (key,) = re.findall(r"`Idempotency-Key: (\w+)`", late.json()["detail"])
        running.going.set()
        headers = {"Idempotency-Key": key}
        for _ in range(2):
            answer = running.client.post("/v1/score", json={"a": 2, "b": 2}, headers=headers)
            assert answer.status_code == 200
        names = [json.loads(value)["id"] for value in stored(running, PREDICTIONS)]
        assert names == [answer.json()["id"]]


def test_who_gives_up_takes_nobody_along(tmp_path: Path) -> None:
    """Three wait for one event; the time of the first two ends earlier."""
    with system(small_problem(), tmp_path, timeout_s=1.0) as running:
        running.going.clear()
        assert running.paused.wait(10)
        with ThreadPoolExecutor(3) as pool:

            def post() -> int:
                return running.client.post("/v1/score", json=event("both")).status_code

            early = [pool.submit(post) for _ in range(2)]
            time.sleep(0.6)
            last = pool.submit(post)
            assert [waiting.result() for waiting in early] == [504, 504]
            running.going.set()
            assert last.result() == 200
        assert len(stored(running, EVENTS)) == 1


def test_a_run_that_was_restarted_knows_its_answers(tmp_path: Path) -> None:
    problem = small_problem()
    with system(problem, tmp_path) as running:
        first = running.client.post("/v1/score", json=event("kept"))
    with system(problem, tmp_path) as running:
        again = running.client.post("/v1/score", json=event("kept", a=9.0))
        assert (again.status_code, again.content) == (200, first.content)


def test_what_is_remembered_no_more_is_a_conflict(tmp_path: Path) -> None:
    with system(small_problem(), tmp_path) as running:
        running.waiters.remembered = 1
        for name in ("c1", "c2"):
            assert running.client.post("/v1/score", json=event(name)).status_code == 200
        answer = running.client.post("/v1/score", json=event("c1"))
        assert (answer.status_code, answer.json()["check"]) == (409, "duplicate")


def test_the_token_is_asked_for(tmp_path: Path) -> None:
    with system(small_problem(), tmp_path, token="secret") as running:
        assert running.client.post("/v1/score", json=event("t")).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        answer = running.client.post("/v1/score", json=event("t"), headers=headers)
        assert answer.status_code == 200
        elsewhere = {**headers, "Origin": "https://example.org"}
        assert (
            running.client.post("/v1/score", json=event("t"), headers=elsewhere).status_code == 403
        )


def test_cloud_events_are_scored_and_labelled(tmp_path: Path) -> None:
    """Structured and binary; id, time and key come from the attributes where nothing is mapped."""
    with system(small_problem(id=None, time=None), tmp_path) as running:
        binary = {
            "ce-specversion": "1.0", "ce-id": "b 1", "ce-source": "/shop", "ce-type": "sale",
            "ce-time": "2026-01-01T10:00:00+01:00", "ce-subject": "k%C3%A4se",
            "content-type": "application/json",
        }  # fmt: skip
        said = running.client.post("/v1/score", json={"a": 1, "b": 1}, headers=binary).json()
        assert (said["id"], said["time"], said["key"]) == ("b 1", "2026-01-01T09:00:00Z", "käse")
        whole = {
            "specversion": "1.0", "id": "s1", "source": "/shop", "type": "sale",
            "data": {"a": 2, "b": 1},
        }  # fmt: skip
        kind = {"content-type": "application/cloudevents+json; charset=utf-8"}
        said = running.client.post("/v1/score", content=json.dumps(whole), headers=kind).json()
        assert (said["id"], said["features"]["a"]) == ("s1", 2.0)
        broken = running.client.post(
            "/v1/score", content=json.dumps({**whole, "specversion": "0.3"}), headers=kind
        )
        assert (broken.status_code, broken.json()["check"]) == (422, "cloudevent")
        batch = {"content-type": "application/cloudevents-batch+json"}
        many = running.client.post(
            "/v1/score", content=json.dumps([whole, {**whole, "id": "s2"}]), headers=batch
        ).json()
        assert [row["record"]["id"] for row in many] == ["s1", "s2"]
        label = {**whole, "id": "label-9", "subject": "b 1", "data": {"label": 1}}
        answer = running.client.post("/labels", content=json.dumps(label), headers=kind)
        assert answer.status_code == 202, answer.text
        running.client.post("/v1/score", json={"a": 3, "b": 1})
        (outcome,) = stored(running, OUTCOMES)
        assert (json.loads(outcome)["id"], json.loads(outcome)["label"]) == ("b 1", 1)
        assert stored(running, LABELS) == [json.dumps(label).encode()]
