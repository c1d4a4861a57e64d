"""The kinds of declared features: a new one is a section in the problem file's shape with
`columns`, one file with an operator, and one line here.
"""

from collections.abc import Callable
from typing import Any

from shared.features.calendar_parts import CalendarParts
from shared.features.formulas import FormulaValue
from shared.features.lags import LagValues
from shared.features.past import Plan
from shared.features.port import Operator
from shared.features.windows import WindowValues
from shared.problem.expression import Formula
from shared.problem.spec import FormulaKind

Build = Callable[[Any, Plan, dict[str, FormulaKind]], Operator]

KINDS: dict[str, Build] = {
    "calendar": lambda spec, plan, kinds: CalendarParts(spec, plan),
    "lags": lambda spec, plan, kinds: LagValues(spec, plan),
    "window": lambda spec, plan, kinds: WindowValues(spec, plan),
    "expression": lambda spec, plan, kinds: FormulaValue(spec.name, Formula(spec.formula, kinds)),
}
