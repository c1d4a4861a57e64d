"""Formulas over fields and earlier features."""

from datetime import datetime

from shared.features.past import Past
from shared.features.port import Row
from shared.problem.expression import Formula


class FormulaValue:
    """One formula; true and false are 1 and 0."""

    def __init__(self, name: str, formula: Formula) -> None:
        self._name = name
        self._formula = formula

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        value = self._formula(row)
        row[self._name] = float(value) if value.__class__ is bool else value
