"""Declared checks over one event: formulas, and functions in the user's own code."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from services.validator.outliers import Outliers
from services.validator.recent import Recent
from shared.errors import Reject, UsageError
from shared.features.keys import Keys
from shared.features.past import Past, Plan
from shared.problem.expression import Formula
from shared.problem.spec import Check, Problem
from shared.problem.times import parse_time

Rule = Callable[[Any], str | None]
"""From the fields of an event, or of a window of them, to the reason why it is refused, or None."""


class Checks:
    """All declared checks, in order.

    Raises:
        UsageError: a function cannot be imported.
    """

    def __init__(self, problem: Problem, plan: Plan) -> None:
        fields = problem.events.fields
        kinds = {name: spec.formula_kind for name, spec in fields.items()}
        self._times = [name for name, spec in fields.items() if spec.type == "time"]
        checks = problem.events.checks
        self._rules = [(c.name, _rule(c, kinds)) for c in checks if c.window is None]
        self._windows = [(c.name, c.window, _rule(c, kinds)) for c in checks if c.window]
        self._kept = tuple(fields) if self._windows else ()
        most = max((window for _, window, _ in self._windows), default=1) - 1
        self.recent = Recent(most, problem.events.max_keys)
        self._outliers = Outliers(problem, plan)
        self.remembers = bool(self._windows or self._outliers.fields)
        self.any = bool(self._rules or self.remembers)

    def apply(self, fields: dict[str, Any], key: str, keys: Keys) -> None:
        """Ask every check; `keys` holds the accepted past.

        Raises:
            Reject: one refuses; `check` is its name.
        """
        self._outliers.check(fields, keys.past(key))
        row = self._row(fields)
        for name, rule in self._rules:
            reason = rule(row)
            if reason is not None:
                raise Reject(reason, name)
        for name, window, rule in self._windows:
            past = [MappingProxyType(old) for old in self.recent.rows(key, window - 1)]
            reason = rule([*past, row])
            if reason is not None:
                raise Reject(reason, name)

    def remember(self, fields: dict[str, Any], key: str, past: Past) -> None:
        """The event was accepted: it is part of the past."""
        self._outliers.learn(fields, past)
        if self._windows:
            row = self._row(fields)
            self.recent.add(key, {name: row[name] for name in self._kept})

    def _row(self, fields: dict[str, Any]) -> Mapping[str, Any]:
        return MappingProxyType(fields | {name: _seconds(fields[name]) for name in self._times})


def _rule(check: Check, kinds: Mapping[str, Any]) -> Rule:
    if check.function is not None:
        return _own(check, _imported(check.function))
    text = check.expression or "true"
    formula = Formula(text, kinds)
    reason = check.reason or f"the check {check.name} failed: {text} is not true"

    def rule(row: Mapping[str, Any]) -> str | None:
        result = formula(row)
        return None if result is None or result else reason

    return rule


def _own(check: Check, function: Callable[[Any], Any]) -> Rule:
    reason = check.reason or f"the check {check.name} ({check.function}) refused it"

    def rule(given: Any) -> str | None:
        try:
            answer = function(given)
        except Exception as error:  # noqa: BLE001  # another's code: whatever it raises is its verdict
            return f"the check {check.name} ({check.function}) failed: {error!r}"[:500]
        if isinstance(answer, str):
            return answer[:500]
        return None if answer is None or answer else reason

    return rule


def _imported(path: str) -> Callable[[Any], Any]:
    module, _, name = path.partition(":")
    try:
        function = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the check function {path} cannot be imported: {error}. Write module:function, and put "
            "the module where Python finds it (PYTHONPATH, or the directory that you run from)."
        ) from error
    if not callable(function):
        raise UsageError(f"the check function {path} is no function")
    return function  # type: ignore[no-any-return]


def _seconds(value: Any) -> float | None:
    return None if value is None else parse_time(value).timestamp()
