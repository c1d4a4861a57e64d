"""What is watched of versions side by side, without any label: silence, and an estimate of the loss."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from services.monitor.episodes import Found
from shared.evaluation.unlabelled import answers_of
from shared.messages.labels import class_key
from shared.messages.types import Prediction

SILENT_EVENTS = 8
"""Events on which others gave a usable answer and a version did not: then it is faulty."""
BLOCK = 128
"""Events over which an estimate is taken."""
WORSE = 0.25
"""Classes: a version is worse by estimate when the other one gives its answers this much less chance,
on average, than its own. Versions of one pool that work differ by some hundredths.
"""
APART = 3.0
"""Numbers: worse when it lies this many half widths of the other's 90 % interval away, on average."""


class Suspect(msgspec.Struct):
    """`version` is watched against `judge`, whose chances or interval are the estimate's measure."""

    version: str
    judge: str
    events: int = 0
    cost: float = 0.0


class VersionsMoment(msgspec.Struct):
    """The state. `suspect`: the canary, or a champion beside the one that it replaced."""

    champion: str = ""
    silent: dict[str, int] = {}
    suspect: Suspect | None = None


class Versions:
    """Finds versions that fail while others work. An estimate by another version's own chances is only
    as good as those; so it is asked for a large difference, and only of versions newly let on.
    """

    def __init__(self) -> None:
        self.moment = VersionsMoment()

    def predicted(self, prediction: Prediction, time: datetime) -> Iterator[Found]:
        """One prediction."""
        champion = prediction.champion or prediction.model
        moment, shadow = self.moment, prediction.shadow
        if champion != moment.champion:
            before, moment.champion = moment.champion, champion
            moment.suspect = Suspect(champion, before) if before else None
        if shadow is None:
            return
        answers = answers_of(prediction)
        usable = {v for v, answer in answers.items() if _is_usable(answer)}
        if len(usable) < len(answers) and usable:
            yield from self._silent(sorted(set(answers) - usable), time)
        if prediction.champion is not None and champion in usable:
            self._let_on(prediction.model, champion)
        suspect = moment.suspect
        if suspect is not None and {suspect.version, suspect.judge} <= usable:
            cost = _cost(answers[suspect.version], answers[suspect.judge])
            yield from self._estimate(suspect, cost, time)

    def _let_on(self, canary: str, champion: str) -> None:
        suspect = self.moment.suspect
        if suspect is None or suspect.version != canary:
            self.moment.suspect = Suspect(canary, champion)

    def _silent(self, versions: list[str], time: datetime) -> Iterator[Found]:
        counts = self.moment.silent
        for version in versions:
            counts[version] = counts.get(version, 0) + 1
            if counts[version] == SILENT_EVENTS:
                evidence = {"model": version, "events_without_answer": SILENT_EVENTS}
                text = f"{version} gave no usable answer to {SILENT_EVENTS} events; others did"
                yield fault("no_answer", f"model {version}", evidence, text, time)

    def _estimate(self, suspect: Suspect, cost: float | None, time: datetime) -> Iterator[Found]:
        if cost is None:
            return
        suspect.events += 1
        suspect.cost += cost
        if suspect.events < BLOCK:
            return
        mean = suspect.cost / suspect.events
        suspect.events, suspect.cost = 0, 0.0
        if mean > 1.0:
            version, other = suspect.version, suspect.judge
            evidence = {
                "model": version,
                "against": other,
                "times_the_limit": mean,
                "events": BLOCK,
            }
            text = f"by the estimate of {other} the answers of {version} are far off; no label is known"
            yield fault("estimated_worse", f"model {version}", evidence, text, time)


def _is_usable(answer: Mapping[str, Any]) -> bool:
    return answer.get("prediction") is not None


def _cost(answer: Mapping[str, Any], judge: Mapping[str, Any]) -> float | None:
    """How much worse than its own the judge thinks of the answer, in units of the limit."""
    chances = judge.get("probabilities")
    if chances is not None:
        own = chances.get(class_key(judge["prediction"]), 0.0)
        theirs = chances.get(class_key(answer["prediction"]), 0.0)
        return float(own - theirs) / WORSE
    interval = judge.get("interval") or answer.get("interval")
    if interval is None:
        return None
    half = (interval[1] - interval[0]) / 2
    apart = abs(float(answer["prediction"]) - float(judge["prediction"]))
    return apart / (APART * half) if half > 0 else None


def fault(kind: str, series: str, evidence: dict[str, Any], text: str, time: datetime) -> Found:
    """A page about one version (`evidence.model`); what joins its episode must ask for the same."""
    return Found(series, kind, "model_fault", "page", time, (), evidence, text)
