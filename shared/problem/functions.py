"""The functions of formulas: a new one is one line in `FUNCTIONS`.

None (missing) makes them raise `TypeError`, a domain error `ValueError` or `ArithmeticError`; the
formula turns both into a missing result.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from shared.problem.spec import FormulaKind

ERRORS = (TypeError, ValueError, ArithmeticError, KeyError)
"""What a formula's evaluation may raise; its result is then missing."""


class Function(NamedTuple):
    """A function of formulas: takes `least` to `most` arguments, gives `kind`.

    `texts`: which arguments are text. `lazy`: it gets its arguments unevaluated.
    """

    usage: str
    run: Callable[..., Any]
    least: int = 1
    most: int = 1
    kind: FormulaKind = "number"
    texts: tuple[int, ...] = ()
    lazy: bool = False


def _known(value: Any) -> Any:
    if value is None:
        raise TypeError
    return value


def _truth(value: Any) -> bool:
    return bool(_known(value) != 0)


def _isnull(value: Callable[[], Any]) -> bool:
    try:
        result = value()
    except ERRORS:
        return True
    return result is None or result != result


def _coalesce(*values: Callable[[], Any]) -> Any:
    for value in values:
        if not _isnull(value):
            return value()
    return None


def _sign(value: float) -> float:
    return math.copysign(1.0, value) if value else 0.0


def _clip(value: float, low: float, high: float) -> float:
    return max(low, min(high, value))


def _contains(text: str, part: str) -> bool:
    return _known(part) in _known(text)


FUNCTIONS: dict[str, Function] = {
    "min": Function("min(a, b, ...)", min, 2, 20),
    "max": Function("max(a, b, ...)", max, 2, 20),
    "abs": Function("abs(x)", abs),
    "sign": Function("sign(x)", _sign),
    "clip": Function("clip(x, low, high)", _clip, 3, 3),
    "floor": Function("floor(x)", lambda x: float(math.floor(x))),
    "ceil": Function("ceil(x)", lambda x: float(math.ceil(x))),
    "round": Function("round(x)", lambda x: float(round(x))),
    "sqrt": Function("sqrt(x)", math.sqrt),
    "exp": Function("exp(x)", math.exp),
    "log": Function("log(x)", math.log),
    "log2": Function("log2(x)", math.log2),
    "log10": Function("log10(x)", math.log10),
    "log1p": Function("log1p(x)", math.log1p),
    "sin": Function("sin(x)", math.sin),
    "cos": Function("cos(x)", math.cos),
    "isnull": Function("isnull(x)", _isnull, kind="boolean", lazy=True),
    "coalesce": Function("coalesce(x, otherwise)", _coalesce, 2, 20, lazy=True),
    "lower": Function("lower(text)", str.lower, kind="text", texts=(0,)),
    "length": Function("length(text)", len, texts=(0,)),
    "contains": Function("contains(text, part)", _contains, 2, 2, "boolean", (0, 1)),
}
"""Every function that a formula may call."""

OPERATIONS: dict[str, Callable[..., Any]] = {
    **{name: function.run for name, function in FUNCTIONS.items()},
    "known": _known,
    "truth": _truth,
    "power": math.pow,
}
"""Functions by name, and the operations that formulas are compiled to."""
