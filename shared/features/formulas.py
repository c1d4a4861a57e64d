"""Formulas over fields and earlier features."""

from datetime import datetime

from shared.features.past import Past
from shared.features.port import Row
from shared.problem.expression import ERRORS, Formula


class FormulaValue:
    """One formula; true and false are 1 and 0."""

    def __init__(self, name: str, formula: Formula) -> None:
        self._name = name
        self._formula = formula
        self._run = formula.run

    def compute(self, row: Row, time: datetime, past: Past) -> None:
        """See `Operator`."""
        try:
            value = self._run(row)
        except ERRORS:
            value = None
        if value.__class__ is not float or value - value != 0.0:
            result = self._formula(row)
            value = float(result) if result.__class__ is bool else result
        row[self._name] = value
