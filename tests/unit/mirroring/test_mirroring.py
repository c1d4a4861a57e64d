"""The mirror in MLflow: what it says of the log, broken off anywhere, away, and for real."""

from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from services.mirroring import Mirror, Unreachable, Wanted, follow, wanted
from shared.messages.types import Job, ModelEvent

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def step(model: str, state: Any, at: int, **more: Any) -> ModelEvent:
    return ModelEvent(model=model, state=state, time=T0 + timedelta(hours=at), **more)


def job(state: Any, **evidence: Any) -> Job:
    return Job(job="job-0001", state=state, reason="errors rose", trigger="cost", time=T0, start=10,
               end=500, model="v2", evidence=evidence)  # fmt: skip


JOBS = [job("requested"), job("accepted", metric="accuracy"),
        job("settled", gained=58.0, net=8.0, price=50.0, pairs=2_000)]  # fmt: skip
EVENTS = [
    step("v1", "champion", 0, by="learner", reason="from nothing"),
    step("v2", "shadow", 1, by="trainer", job="job-0001", parent="v1", blob="abc",
         manifest={"kind": "boosting", "metrics": {"accuracy": 0.9}}, reason="better offline"),
    step("v2", "champion", 2, by="judge", reason="promoted: mean gain +0.02"),
    step("v3", "shadow", 3, by="trainer", job="job-0002", parent="v2"),
    step("v4", "shadow", 4, by="trainer", job="job-0003", parent="v2"),
    step("v3", "canary", 5, by="judge"),
]  # fmt: skip


class Absent(Exception):
    pass


class Died(Exception):
    pass


class Page(list[Any]):
    token = None


class Registry:
    """MLflow in memory, as far as it is used; dies at call number `dies_at` instead of doing it."""

    def __init__(self) -> None:
        self.model: dict[str, Any] | None = None
        self.experiment: str | None = None
        self.runs: dict[str, dict[str, Any]] = {}
        self.versions: list[Any] = []
        self.aliases: dict[str, int] = {}
        self.calls = 0
        self.dies_at = 0

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name.startswith(("get_", "create_", "set_", "log_", "search_", "update_", "delete_")):
            self.calls += 1
            if self.calls == self.dies_at:
                raise Died
        return found

    def get_registered_model(self, name: str) -> Any:
        if self.model is None:
            raise Absent
        return self.model

    def create_registered_model(self, name: str) -> None:
        assert self.model is None
        self.model = {"name": name}

    def get_experiment_by_name(self, name: str) -> Any:
        return self.experiment and SimpleNamespace(experiment_id=self.experiment)

    def create_experiment(self, name: str) -> str:
        assert self.experiment is None
        self.experiment = "7"
        return "7"

    def create_run(
        self, experiment: str, start_time: int, tags: dict[str, str], run_name: str
    ) -> Any:
        run_id = f"run-{len(self.runs)}"
        self.runs[run_id] = {"tags": tags, "params": {}, "metrics": set(), "ended": None}
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def set_terminated(self, run_id: str, end_time: int) -> None:
        self.runs[run_id]["ended"] = end_time

    def search_runs(
        self, experiments: list[str], filter_string: str, max_results: int
    ) -> list[Any]:
        asked = filter_string.split("'")[1]
        return [
            SimpleNamespace(info=SimpleNamespace(run_id=run_id))
            for run_id, run in self.runs.items()
            if asked in run["tags"].values()
        ]

    def log_param(self, run_id: str, key: str, value: str) -> None:
        assert self.runs[run_id]["params"].setdefault(key, value) == value

    def log_metric(self, run_id: str, key: str, value: float, timestamp: int, step: int) -> None:
        self.runs[run_id]["metrics"].add((key, value, timestamp))

    def create_model_version(
        self, name: str, source: str, run_id: str, tags: dict[str, str]
    ) -> Any:
        version = SimpleNamespace(version=str(len(self.versions) + 1), source=source, run_id=run_id,
                                  tags=dict(tags), description="")  # fmt: skip
        self.versions.append(version)
        return deepcopy(version)

    def search_model_versions(self, name: str, max_results: int, page_token: Any) -> Page:
        return Page(deepcopy(self.versions))

    def update_model_version(self, name: str, version: str, description: str) -> None:
        self.versions[int(version) - 1].description = description

    def set_model_version_tag(self, name: str, version: str, key: str, value: str) -> None:
        self.versions[int(version) - 1].tags[key] = value

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self.aliases[alias] = int(version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self.aliases.pop(alias, None)

    def shown(self) -> Any:
        return (self.model, self.experiment, self.runs, self.versions, self.aliases)


def mirror(registry: Registry) -> Mirror:
    return Mirror(registry, lambda error: isinstance(error, Absent))  # type: ignore[arg-type]


def said(n: int = len(EVENTS)) -> Wanted:
    return wanted("toy", EVENTS[:n], JOBS)


def test_aliases_follow_the_log_and_the_old_champion_is_no_challenger() -> None:
    aliases = [said(n).aliases for n in range(1, len(EVENTS) + 1)]
    assert aliases == [
        {"champion": "v1"},
        {"champion": "v1", "challenger": "v2"},
        {"champion": "v2"},
        {"champion": "v2", "challenger": "v3"},
        {"champion": "v2", "challenger": "v4"},
        {"champion": "v2", "challenger": "v3"},
    ]


def test_a_version_carries_its_job_its_figures_and_what_it_gained() -> None:
    registry = Registry()
    assert mirror(registry).bring(said()) == ["v1", "v2", "v3", "v4"]
    second = registry.versions[1]
    run = registry.runs[second.run_id]
    assert second.description == "promoted: mean gain +0.02"
    assert second.tags["headrace.state"] == "champion"
    assert second.tags["headrace.job"] == "job-0001"
    assert run["params"]["trigger"] == "cost"
    assert {(key, value) for key, value, _ in run["metrics"]} == {
        ("accuracy", 0.9), ("gained", 58.0), ("net", 8.0), ("price", 50.0), ("pairs", 2_000.0),
    }  # fmt: skip
    assert registry.aliases == {"champion": 2, "challenger": 3}
    assert mirror(registry).bring(said()) == []


def test_broken_off_at_any_call_and_made_again_it_comes_out_the_same() -> None:
    whole = Registry()
    for n in (2, len(EVENTS)):
        mirror(whole).bring(said(n))
    assert whole.calls > 40
    for dies_at in range(1, whole.calls + 1):
        broken = Registry()
        broken.dies_at = dies_at
        for n in (2, len(EVENTS)):
            try:
                mirror(broken).bring(said(n))
            except Died:
                mirror(broken).bring(said(n))
        assert broken.shown() == whole.shown(), f"dying at call {dies_at}"


def test_while_it_is_away_it_is_tried_again_and_said_once() -> None:
    answers: Iterator[Any] = iter([Unreachable("away"), Unreachable("away"), ["v1"], [], ["v2"]])
    lines: list[str] = []
    waited: list[float] = []

    def once() -> dict[str, Any]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return {"written": answer}

    follow(once, lines.append, lambda s: bool(waited.append(s)) or len(waited) == 5, 10.0)
    assert waited == [10.0] * 5
    assert [line.split("\n")[0] for line in lines] == [
        "away", "MLflow is up to date: v1", "MLflow is up to date: v2",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # SQLAlchemy's, of MLflow's own calls
def test_a_real_registry_over_sqlite(tmp_path: Any) -> None:
    mlflow = pytest.importorskip(
        "mlflow", reason="mlflow-skinny is not installed (make setup-dev)"
    )
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)

    def absent(error: Exception) -> bool:
        return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST"

    for n, champion, challenger in ((2, "v1", "v2"), (len(EVENTS), "v2", "v3")):
        for _ in range(2):
            Mirror(client, absent).bring(said(n))
        found = {a: client.get_model_version_by_alias("toy", a).tags["headrace.version"]
                 for a in ("champion", "challenger")}  # fmt: skip
        assert found == {"champion": champion, "challenger": challenger}
    Mirror(client, absent).bring(said(3))
    with pytest.raises(Exception, match="challenger"):
        client.get_model_version_by_alias("toy", "challenger")
    versions = client.search_model_versions("name='toy'")
    assert len(versions) == 4
    second = client.get_model_version_by_alias("toy", "champion")
    run = client.get_run(second.run_id)
    assert run.data.metrics["gained"] == 58
    assert run.data.params["kind"] == "boosting"
    assert second.source == "headrace://toy/v2"
