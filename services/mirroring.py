"""Versions and jobs in an MLflow registry: a view of the log, brought up to date by a follower.

Each pass folds `models` and `jobs` and brings MLflow to what they say; what is there already is left.
So a pass that broke off, or was made twice, harms nothing; and while MLflow is away nothing is lost,
since nothing is kept but on the log.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any, Protocol, cast

import msgspec

from services.inspection import Run, messages
from shared.errors import HeadraceError, Reject, UsageError
from shared.messages.streams import JOBS, MODELS
from shared.messages.types import Job, ModelEvent
from shared.registry.live import Live

CHAMPION, CHALLENGER = "champion", "challenger"
VERSION, RECORD = "headrace.version", "headrace.record"
"""Tags: the version's name here, and the digest of all that was written of it."""
_NEAREST = ("canary", "proposed", "shadow")
_FIGURES = ("gained", "net", "price", "pairs", "fit_seconds")
EVERY_S = 10.0
_MOST_CHARACTERS = 500
_PAGE = 1_000


class Entry(msgspec.Struct, frozen=True):
    """One version as MLflow shall show it. `at_ms`: of its newest step, in event time."""

    version: str
    text: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    at_ms: int

    @property
    def digest(self) -> str:
        """Of everything in it."""
        return sha256(msgspec.json.encode(self)).hexdigest()


class Wanted(msgspec.Struct, frozen=True):
    """What the log says: every version, and who bears which alias."""

    problem: str
    entries: list[Entry]
    aliases: dict[str, str]


class Client(Protocol):
    """What is used of `mlflow.MlflowClient`."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """A call to the registry or to the tracking store."""
        ...


class Unreachable(HeadraceError):
    """MLflow is away, or refuses; what it says is in the text. The log keeps everything for later."""


def wanted(problem: str, events: Iterable[ModelEvent], jobs: Iterable[Job]) -> Wanted:
    """Fold the records. The challenger is the version nearest to being champion (canary, proposed,
    shadow; of two the newer), never the old champion that is kept for a rollback.
    """
    live, first, newest = Live(), dict[str, ModelEvent](), dict[str, ModelEvent]()
    for event in events:
        with suppress(Reject):  # the services ignore it too
            live.apply(event)
            if event.state != "snapshot":
                first.setdefault(event.model, event)
                newest[event.model] = event
    by_job: dict[str, list[Job]] = {}
    for job in jobs:
        by_job.setdefault(job.job, []).append(job)
    entries = [
        _entry(first[name], newest[name], state, by_job.get(first[name].job or "", []))
        for name, state in live.states.items()
    ]
    beside = [name for name in reversed(live.shadows) if name != live.previous]
    nearest = sorted(beside, key=lambda name: _NEAREST.index(live.states[name]))
    aliases = {CHAMPION: live.champion, CHALLENGER: next(iter(nearest), None)}
    return Wanted(problem, entries, {alias: name for alias, name in aliases.items() if name})


def _entry(first: ModelEvent, last: ModelEvent, state: str, jobs: Sequence[Job]) -> Entry:
    settled = next((job.evidence for job in jobs if job.state == "settled"), {})
    asked = next((job for job in jobs if job.state == "requested"), None)
    told = (first.manifest or {}).get("metrics") or {}
    metrics = {**told, **{name: settled.get(name) for name in _FIGURES}}
    params = {
        "trigger": asked.trigger if asked else None,
        "asked_for": asked.reason if asked else None,
        "outcomes": f"{asked.start} to {asked.end}" if asked else None,
        "kind": (first.manifest or {}).get("kind"),
    }
    tags = {
        "state": state, "job": first.job, "parent": first.parent, "by": last.by, "blob": first.blob,
    }  # fmt: skip
    return Entry(
        version=first.model,
        text=last.reason,
        tags={f"headrace.{name}": value for name, value in tags.items() if value},
        params={name: value[:_MOST_CHARACTERS] for name, value in params.items() if value},
        metrics={
            name: float(value) for name, value in metrics.items() if isinstance(value, int | float)
        },
        at_ms=int(last.time.timestamp() * 1_000),
    )


class Mirror:
    """Brings one registered model, and the experiment of the same name, to what is wanted. `absent`
    knows the client's error where something is not there.
    """

    def __init__(self, client: Client, absent: Callable[[Exception], bool]) -> None:
        self._client = client
        self._absent = absent

    def bring(self, wanted: Wanted) -> list[str]:
        """Write what differs; the names of the versions that were written."""
        client, name = self._client, wanted.problem
        self._registered(name)
        experiment = self._experiment(name)
        there = self._versions(name)
        written = []
        for entry in wanted.entries:
            known = there.get(entry.version)
            if known is None or known.tags.get(RECORD) != entry.digest:
                there[entry.version] = self._write(name, experiment, entry, known)
                written.append(entry.version)
        for alias in (CHAMPION, CHALLENGER):
            bearer = wanted.aliases.get(alias)
            if bearer is None:
                client.delete_registered_model_alias(name, alias)
            else:
                client.set_registered_model_alias(name, alias, there[bearer].version)
        return written

    def _registered(self, name: str) -> None:
        try:
            self._client.get_registered_model(name)
        except Exception as error:
            if not self._absent(error):
                raise
            self._client.create_registered_model(name)

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        return str(self._client.create_experiment(name) if found is None else found.experiment_id)

    def _versions(self, name: str) -> dict[str, Any]:
        """By the name here; where two followers made one twice, the older counts."""
        found: dict[str, Any] = {}
        token = None
        while True:
            page = self._client.search_model_versions(
                f"name='{name}'", max_results=_PAGE, page_token=token
            )
            for version in page:
                ours = version.tags.get(VERSION)
                if ours and (ours not in found or int(version.version) < int(found[ours].version)):
                    found[ours] = version
            token = page.token
            if not token:
                return found

    def _write(self, name: str, experiment: str, entry: Entry, known: Any) -> Any:
        """Run, version, then the digest: what broke off before it is written once more."""
        client, run_id = self._client, self._run(experiment, entry)
        for key, value in entry.params.items():
            client.log_param(run_id, key, value)
        for key, number in entry.metrics.items():
            client.log_metric(run_id, key, number, timestamp=entry.at_ms, step=0)
        client.set_terminated(run_id, end_time=entry.at_ms)
        if known is None:
            source = f"headrace://{name}/{entry.version}"
            tags = {VERSION: entry.version}
            known = client.create_model_version(name, source, run_id=run_id, tags=tags)
        client.update_model_version(name, known.version, description=entry.text)
        for key, value in {**entry.tags, RECORD: entry.digest}.items():
            client.set_model_version_tag(name, known.version, key, value)
        return known

    def _run(self, experiment: str, entry: Entry) -> str:
        mine = f"tags.`{VERSION}` = '{entry.version}'"
        found = self._client.search_runs([experiment], mine, max_results=1)
        if found:
            return str(found[0].info.run_id)
        made = self._client.create_run(
            experiment, start_time=entry.at_ms, tags={VERSION: entry.version},
            run_name=entry.version,
        )  # fmt: skip
        return str(made.info.run_id)


def mirror(run: Run, uri: str) -> dict[str, Any]:
    """One pass: which versions were written, and who bears which alias.

    Raises:
        UsageError: MLflow is not installed.
        Unreachable: it does not answer, or refuses.
    """
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ImportError as error:
        raise UsageError("MLflow is not installed: pip install 'headrace[mlflow]'") from error

    def absent(error: Exception) -> bool:
        code = getattr(error, "error_code", "")
        return isinstance(error, MlflowException) and code == "RESOURCE_DOES_NOT_EXIST"

    said = wanted(
        run.problem,
        (event for _, event in messages(run, MODELS)),
        (job for _, job in messages(run, JOBS)),
    )
    try:
        client = cast(Client, MlflowClient(tracking_uri=uri or None, registry_uri=uri or None))
        written = Mirror(client, absent).bring(said)
    except (MlflowException, OSError) as error:
        raise Unreachable(f"MLflow at {uri or 'its default place'}: {error}") from error
    return {"versions": len(said.entries), "written": written, "aliases": said.aliases}


def follow(
    once: Callable[[], Mapping[str, Any]],
    say: Callable[[str], None],
    wait: Callable[[float], bool],
    every_s: float,
) -> None:
    """Bring it up to date again and again, until `wait` (seconds) says that it is over. Where MLflow is
    away that is said once, and tried again.
    """
    away = False
    while True:
        try:
            done = once()
        except Unreachable as why:
            if not away:
                say(
                    f"{why}\nTrying again every {every_s:g} s; nothing is lost, the log has it all."
                )
            away = True
        else:
            if away or done["written"]:
                say(f"MLflow is up to date: {', '.join(done['written']) or 'nothing new'}")
            away = False
        if wait(every_s):
            return
