"""Whether a label can be one: its class, or its number."""

from math import isfinite

from shared.errors import Reject
from shared.messages.labels import class_key
from shared.messages.types import Label
from shared.problem.spec import Problem


class LabelChecks:
    """Checks labels against their declaration."""

    def __init__(self, problem: Problem) -> None:
        self._numbers = problem.task == "regression"
        self._spec = problem.label
        self._classes = {class_key(value): value for value in self._spec.classes or ()}

    def __call__(self, label: Label) -> Label:
        """The label with its class as declared, or its number finite and in range.

        Raises:
            Reject: it is neither.
        """
        if label.revoked:
            return label
        if label.label is None:
            raise Reject(f"the label of {label.id} has no value", "label_missing", "label")
        if not self._numbers:
            if not self._classes:
                return label
            key = class_key(label.label)
            if key not in self._classes:
                known = ", ".join(self._classes)
                raise Reject(
                    f"{key} is not a class; the classes are {known}", "label_class", "label"
                )
            label.label = self._classes[key]
            return label
        return self._number(label)

    def _number(self, label: Label) -> Label:
        value = label.label
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            raise Reject(f"the label {value!r} is not a number", "label_type", "label")
        low, high = self._spec.range or (None, None)
        if (low is not None and value < low) or (high is not None and value > high):
            raise Reject(f"the label {value} is outside {low} to {high}", "label_range", "label")
        return label
