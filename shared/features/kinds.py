"""The kinds of declared features: a new one is a section in the problem file's shape with
`columns`, one file with an operator, and one line here.
"""

from collections.abc import Callable
from typing import Any

from shared.features.calendar_parts import CalendarParts
from shared.features.decayed import DecayedMean, SinceLast
from shared.features.formulas import FormulaValue
from shared.features.lags import LagValues
from shared.features.past import Plan
from shared.features.port import Operator
from shared.features.windows import WindowValues
from shared.features.windows_open import OpenWindowValues
from shared.problem.derived import IN_ORDER
from shared.problem.expression import Formula
from shared.problem.spec import FormulaKind, Window

Build = Callable[[Any, Plan, dict[str, FormulaKind]], Operator]


def _window(spec: Window, plan: Plan) -> Operator:
    begins_anew = spec.tumbling is not None or spec.session is not None
    adds_up = IN_ORDER.isdisjoint(spec.of)
    return OpenWindowValues(spec, plan) if begins_anew and adds_up else WindowValues(spec, plan)


KINDS: dict[str, Build] = {
    "calendar": lambda spec, plan, kinds: CalendarParts(spec, plan),
    "lags": lambda spec, plan, kinds: LagValues(spec, plan),
    "window": lambda spec, plan, kinds: _window(spec, plan),
    "decayed": lambda spec, plan, kinds: DecayedMean(spec, plan),
    "since": lambda spec, plan, kinds: SinceLast(
        spec, Formula(spec.formula, kinds) if spec.formula else None, plan
    ),
    "expression": lambda spec, plan, kinds: FormulaValue(spec.name, Formula(spec.formula, kinds)),
}
