"""A job, from its request to its result: a pure function (no clock; seeds come from the job's name)."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from services.trainer.board import Race, board, reason
from services.trainer.dataset import (
    Dataset,
    Shape,
    Split,
    build,
    classes_of,
    labels_of,
    rolling,
    split,
)
from services.trainer.journal import Journal
from services.trainer.losses import METRICS, Answers, honesty
from services.trainer.request import FitRequest, FitResult, failed, rows_of
from services.trainer.search import Ask, asks, drive
from services.trainer.slices import declared_slices, worst_slices
from services.trainer.trials import Trial, Unfit, fitted, given, seed_of, served, try_out
from services.trainer.walk import Rehearsal, baseline_answers
from shared.errors import UntrustedArtefact
from shared.features.profile.reference import reference
from shared.messages.types import Outcome, Value
from shared.models.anchors import seen_by
from shared.models.artefact import anchor_to_bytes
from shared.models.candidates import CANDIDATES
from shared.models.port import Anchor
from shared.problem.expression import Formula
from shared.problem.spec import Problem
from shared.registry.manifest import BlobRef, Manifest

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

LEAST_HELD = 30
LEAST_TRAIN = 50
ESTIMATOR_LIMIT_BYTES = 8 * 1024 * 1024
"""A larger library object is not kept for export."""


def fit(request: FitRequest, journal: Journal | None = None) -> FitResult:
    """Try candidates, choose one on validation rows, race it on held rows. Never raises for data.

    `journal` keeps the trials of a search: with them the same request is answered the same, sooner.
    """
    problem = Problem.model_validate_json(request.problem)
    rows = rows_of(request.outcomes)
    shape = _shape(request, rows, problem)
    spec = problem.retraining
    seed = seed_of(problem.name, request.job.job, "selection")
    data = build(rows, shape, spec.budget.rows, spec.selection, seed)
    n = len(data.rows)
    if n < LEAST_TRAIN + LEAST_HELD:
        why = ", ".join(f"{count:,} {what}" for what, count in data.left_out.items())
        return failed(
            f"{n} labelled rows are too few to learn from and to hold some back"
            + (f" (left out: {why})" if why else "")
        )
    plan = split(data.at, data.known_at, problem.evaluation.holdback)
    if len(plan.train) < LEAST_TRAIN or len(plan.held) < LEAST_HELD:
        return failed(
            f"of {n:,} labelled rows {len(plan.train):,} were labelled before the {len(plan.held):,} "
            f"held back; at least {LEAST_TRAIN} and {LEAST_HELD} are needed: make "
            "`retraining.window` larger"
        )
    with threadpool_limits(1):  # more threads add in another order, and spin where cores are busy
        return _Fit(request, problem, shape, data, plan, journal).result()


def _shape(request: FitRequest, rows: Sequence[Outcome], problem: Problem) -> Shape:
    classes: tuple[Value, ...] = ()
    if problem.task != "regression":
        classes = classes_of(rows, problem.label.classes or ())
    features, rate = tuple(request.features), problem.false_discovery
    return Shape(features, classes, request.n_base, request.n_members, rate)


class _Fit:
    """One job's working state; each method is one step."""

    def __init__(
        self,
        request: FitRequest,
        problem: Problem,
        shape: Shape,
        data: Dataset,
        plan: Split,
        journal: Journal | None,
    ) -> None:
        self.request = request
        self.problem = problem
        self.shape = shape
        self.data = data
        self.plan = plan
        self.metric = METRICS[problem.metric]
        self._rehearsed: Rehearsal | None = None
        search = problem.retraining.search
        self._journal = journal if search is not None else None
        folds = 1 if search is None else search.folds
        self._folds = rolling(data.at, data.known_at, plan.train, folds)

    def result(self) -> FitResult:
        """The steps in order."""
        try:
            trials = self._trials()
        except ImportError as missing:
            return failed(str(missing))
        best = min((trial for trial in trials if trial.share == 1), key=lambda trial: trial.score)
        if best.words is None:
            reasons = "; ".join(f"{trial.name}: {trial.problem}" for trial in trials)
            return failed(f"no candidate could be fitted ({reasons})")
        x, train = given(best.setup, self.data), self.plan.train
        try:
            estimator = fitted(best.setup, best.seed, x[train], self.data.y[train], self.shape)
            anchor = served(best.setup, estimator, x, self.shape)
        except Unfit as why:
            return failed(f"{best.name}, the best candidate, cannot be used: {why}")
        race = self._race(anchor, best)
        evidence = board(race, trials, best, self._rows())
        evidence["size_bytes"] = len(anchor_to_bytes(anchor))
        evidence["interpretability"] = CANDIDATES[best.setup.family].interpretability
        held = self.data.x[self.plan.held]
        names = self.shape.features
        evidence["worst_slices"] = worst_slices(held, names, race.challenger, race.champion)
        if self.problem.evaluation.slices:
            evidence["declared_slices"] = self._declared(race, trials)
        outcome = FitResult(
            state="accepted" if race.accepted else "rejected",
            reason=reason(race, best.name),
            summary=self._summary(trials, best),
            board=evidence,
            parent=self.data.rows[-1].champion or self.data.rows[-1].model,
            classes=list(self.shape.classes),
        )
        if race.accepted:
            self._pack(outcome, race, best, anchor, estimator)
        return outcome

    def _trials(self) -> list[Trial]:
        """As many as the budget counts: the families in the problem file's order, then a search."""
        spec = self.problem.retraining
        walk = asks(spec.candidates, spec.search, spec.budget.trials, self._seed("search"))
        return drive(walk, lambda ask: self._judged(self._trial(ask)))

    def _trial(self, ask: Ask) -> Trial:
        """Fitted, or as the journal has it."""
        seed = self._seed(ask.setup.name)
        named = repr((self.request.code, ask, seed)).encode()
        key, journal = sha256(named).hexdigest()[:24], self._journal
        if journal is not None and (kept := journal.get(key)) is not None:
            with suppress(UntrustedArtefact):  # damaged: fitted anew
                return Trial(ask.setup, seed, ask.share).restored(kept)
        trial = try_out(ask, seed, self.data, self._folds, self.shape, self.metric)
        if journal is not None and trial.words is not None:
            journal.put(key, trial.to_bytes())
        return trial

    def _judged(self, trial: Trial) -> Trial:
        """With its loss beside the champion's experts: who is better alone may add less."""
        if trial.late is None or trial.words is None:
            return trial
        end = int(trial.late[-1]) + 1
        words = np.zeros((end, self.shape.width))
        words[trial.late] = trial.words
        answers = self._rehearsal(trial).joined(_as_said(words, self.shape), end)
        loss = self.metric.loss(answers.rows(trial.late), self.data.y[trial.late])
        return replace(trial, joined_loss=loss)

    def _rehearsal(self, trial: Trial) -> Rehearsal:
        """One for all trials: their later rows are the same."""
        if self._rehearsed is None:
            assert trial.late is not None
            first = int(trial.late[0])
            self._rehearsed = Rehearsal(self.data, self.shape, self.problem.task, first)
        return self._rehearsed

    def _seed(self, name: str) -> int:
        return seed_of(self.problem.name, self.request.job.job, name)

    def _race(self, anchor: Anchor, best: Trial) -> Race:
        data, shape, plan = self.data, self.shape, self.plan
        said = anchor.predict_many(seen_by(anchor, data.x, data.view))
        y = data.y[plan.held]
        loss = self.metric.loss
        rules = {rule.name: self._rule(rule.expression) for rule in self.problem.evaluation.rules}
        baselines = baseline_answers(data, shape, rules, plan)
        told = {
            "champion": Answers(data.published, data.answered).rows(plan.held),
            "challenger": self._mixed(said, best).rows(plan.held),
            "alone": Answers.of(said).rows(plan.held),
        }
        honest = {} if shape.regression else {**told, **baselines}
        return Race(
            metric=self.metric,
            champion=loss(told["champion"], y),
            challenger=loss(told["challenger"], y),
            alone=loss(told["alone"], y),
            baselines={name: _filled(loss(answers, y)) for name, answers in baselines.items()},
            honesty={name: honesty(answers, y) for name, answers in honest.items()},
            confidence=self.problem.acceptance.confidence,
            min_gain=self.problem.acceptance.min_gain,
            beat_baselines=self.problem.acceptance.beat_baselines,
        )

    def _declared(self, race: Race, trials: list[Trial]) -> list[dict[str, Any]]:
        """The declared slices: on the rows held back, of candidates on later training rows."""
        rows, spec = self.data.rows, self.problem.evaluation
        formulas = {part.name: self._rule(part.expression) for part in spec.slices}
        inside = {
            name: np.array([bool(formula(row.features)) for row in rows])
            for name, formula in formulas.items()
        }
        everybody = [("challenger", self.plan.held, race.challenger),
                     ("champion", self.plan.held, race.champion)]  # fmt: skip
        everybody += [
            (f"candidate: {trial.name}", trial.late, trial.validation_loss)
            for trial in trials
            if trial.late is not None and trial.validation_loss is not None
        ]
        return [
            row
            for who, at, loss in everybody
            for row in declared_slices(
                {name: mask[at] for name, mask in inside.items()},
                who, loss, race.confidence, spec.minimum_support,
            )
        ]  # fmt: skip

    def _mixed(self, said: F64, best: Trial) -> Answers:
        """The challenger. Its stacker gets to know the anchor on the validation rows, where the trial
        of the same candidate speaks for it: the anchor itself was fitted on them.
        """
        assert best.late is not None
        assert best.words is not None
        words = said.copy()
        words[best.late] = best.words
        return self._rehearsal(best).joined(_as_said(words, self.shape), len(words))

    def _rule(self, text: str) -> Formula:
        return Formula(text, dict.fromkeys(self.problem.feature_names, "number"))

    def _rows(self) -> dict[str, Any]:
        return {
            "given": len(self.request.outcomes),
            "used": len(self.data.rows),
            "train": len(self.plan.train),
            "embargo": len(self.plan.embargo),
            "held_back": len(self.plan.held),
            "left_out": self.data.left_out,
            "policy": self.problem.retraining.selection.policy,
            "digest": self.data.digest,
            "first": self.data.rows[0].time.isoformat(),
            "held_first": self.data.rows[self.plan.held[0]].time.isoformat(),
            "held_last": self.data.rows[self.plan.held[-1]].time.isoformat(),
            "labels": labels_of(self.data.y, self.shape),
        }

    def _summary(self, trials: list[Trial], best: Trial) -> str:
        fit = [trial for trial in trials if trial.validation_loss is not None]
        name, figure = self.metric.name, self.metric.figure(best.score)
        return (
            f"{len(fit)} of {len(trials)} candidates fitted; {best.name} was the best on later rows "
            f"beside the champion's experts ({name} {figure:.4g}) and was fitted again on "
            f"{len(self.plan.train):,} rows"
        )

    def _library_object(self, estimator: Any) -> bytes | None:
        if not self.problem.retraining.keep_estimator:
            return None
        from shared.registry.estimator import estimator_to_bytes  # skops: 0.6 s of CPU to import

        library = estimator_to_bytes(estimator)
        return library if len(library) <= ESTIMATOR_LIMIT_BYTES else None

    def _pack(
        self, outcome: FitResult, race: Race, best: Trial, anchor: Anchor, estimator: Any
    ) -> None:
        """Artefact, library object and manifest of an accepted candidate."""
        outcome.artefact = anchor_to_bytes(anchor)
        outcome.estimator = self._library_object(estimator)
        job, c = self.request.job, race.comparison
        outcome.manifest = Manifest(
            problem=self.problem.name,
            version=self.request.version,
            parent=outcome.parent,
            kind=f"{best.name} ({anchor.kind})",
            artefact=BlobRef.of(outcome.artefact),
            estimator=BlobRef.of(outcome.estimator) if outcome.estimator else None,
            feature_set=self.data.rows[-1].feature_set,
            features=list(self.shape.features),
            classes=list(self.shape.classes),
            start=job.start,
            end=job.end,
            selection=self._rows(),
            seeds={best.name: best.seed},
            libraries=self.request.libraries,
            code=self.request.code,
            metrics={
                self.metric.name: round(self.metric.figure(float(race.challenger.mean())), 6),
                "gain": round(c.gain, 6),
                "gain_low": round(c.low, 6),
                "gain_high": round(c.high, 6),
                "rows": float(c.rows),
            },
            profile=reference(self.data.x[self.plan.train], self.shape.features),
        ).as_dict()


def _as_said(mean: F64, shape: Shape) -> F32:
    """Rounded as the pool rounds what an anchor says (`Bank.predict_many`)."""
    return mean.astype(np.float32 if shape.regression else np.float16).astype(np.float32)


def _filled(loss: F64) -> F64:
    """A rule that gives no number is charged its worst loss."""
    known = loss[np.isfinite(loss)]
    return np.where(np.isfinite(loss), loss, known.max() if len(known) else np.inf)
