"""Formulas over fields and features: a small part of Python's expressions, by an allow-list.

Allowed: numbers, quoted text, true/false, names; `+ - * / // % **`; `< <= > >= == !=`; `in [..]`;
`and or not`; `a if b else c`; the functions in `FUNCTIONS`. Everything else is refused when the
problem file is loaded: attributes, indexing, other calls, names that do not exist, text where a
number belongs. Length, depth and nodes are bounded and every operation costs a bounded time, so a
formula can do no harm.

A missing value (None) makes the result missing, and so does a domain error (`log(-1)`, `1 / 0`) or
a result that is not finite. `isnull(x)` and `coalesce(x, y)` ask about it; `and`, `or`, `if` look
only at the operands that they reach, from left to right.
"""

import ast
import warnings
from collections.abc import Callable, Mapping
from types import CodeType
from typing import Any

from shared.problem.formula_tree import Compiler, FormulaError, shortened
from shared.problem.functions import ERRORS, OPERATIONS
from shared.problem.spec import FormulaKind

__all__ = ["ERRORS", "Formula", "FormulaError", "Result"]

Result = float | bool | str | None

_MAX_CHARACTERS = 2_000
_MAX_NODES = 400


class Formula:
    """A compiled formula: called with a row (name to value), it gives its result or None.

    `names`: what it reads, in order of appearance. `kind`: what it gives.
    """

    def __init__(self, text: str, kinds: Mapping[str, FormulaKind]) -> None:
        """Compile `text`, which may read the names in `kinds`.

        Raises:
            FormulaError: it is refused.
        """
        compiler = Compiler(kinds)
        body, self.kind = compiler.visit(_parse(text))
        self.text = text
        self.names = tuple(compiler.names)
        self.run = _function(body)
        """The bare expression: may raise one of `ERRORS`, or give a number that is not finite."""

    def __call__(self, row: Mapping[str, Any]) -> Result:
        """The value for `row`; a name that `row` does not have is missing."""
        try:
            value = self.run(row)
            if value.__class__ is float:
                return value if value - value == 0.0 else None
            if value is None or value is True or value is False or value.__class__ is str:
                return value
            number = float(value)
        except ERRORS:
            return None
        return number if number - number == 0.0 else None


def _parse(text: str) -> ast.expr:
    if len(text) > _MAX_CHARACTERS:
        raise FormulaError(
            f"the formula has {len(text)} characters", f"use at most {_MAX_CHARACTERS}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python's advice on odd literals; refused below
            tree = ast.parse(text.strip().replace("\n", " "), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        where = f" at character {error.offset}" if isinstance(error, SyntaxError) else ""
        raise FormulaError(
            f"`{shortened(text)}` is not a formula{where}",
            "write for example `price - price_lag_1`",
        ) from error
    if sum(1 for _ in ast.walk(tree)) > _MAX_NODES:
        raise FormulaError("the formula is too long", "split it into several expressions")
    return tree.body


def _function(body: ast.expr) -> Callable[[Mapping[str, Any]], Any]:
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg("row")], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    tree = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body)))
    code: CodeType = compile(tree, "<formula>", "eval")
    # The tree holds nothing but what Compiler built from its allow-list, and no builtins.
    return eval(code, {"__builtins__": {}, **OPERATIONS})  # type: ignore[no-any-return]  # noqa: S307
