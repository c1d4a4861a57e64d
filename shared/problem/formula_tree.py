"""From a parsed formula to an equal tree of allowed nodes, with kinds checked on the way.

Only what is built here reaches Python's compiler: an allow-list, not a filter.
"""

import ast
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple, TypeGuard

from shared.problem.functions import FUNCTIONS
from shared.problem.spec import FormulaKind

_MAX_DEPTH = 40
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)


class FormulaError(ValueError):
    """A formula is refused: `wrong` says why, `write` what to write instead."""

    def __init__(self, wrong: str, write: str) -> None:
        super().__init__(f"{wrong}; {write}")
        self.wrong = wrong
        self.write = write


class Node(NamedTuple):
    """An allowed tree and what it gives."""

    tree: ast.expr
    kind: FormulaKind


class Compiler:
    """Rebuilds one formula; `names` are the fields and features that it reads, in order."""

    def __init__(self, kinds: Mapping[str, FormulaKind]) -> None:
        self._kinds = kinds
        self._depth = 0
        self.names: dict[str, None] = {}

    def visit(self, node: ast.expr) -> Node:
        """The allowed tree for `node`, and its kind.

        Raises:
            FormulaError: there is none.
        """
        visitor = _VISITORS.get(type(node))
        if visitor is None:
            raise FormulaError(
                f"`{source_of(node)}` is not allowed in a formula",
                "use numbers, names, arithmetic, comparisons, and/or/not, if/else and functions",
            )
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise FormulaError("the formula is too deep", "split it into several expressions")
        result = visitor(self, node)
        self._depth -= 1
        return result

    def _constant(self, node: ast.Constant) -> Node:
        value = node.value
        if isinstance(value, bool):
            return Node(node, "boolean")
        if isinstance(value, str):
            return Node(node, "text")
        if isinstance(value, int | float) and abs(value) <= sys.float_info.max:
            return Node(ast.Constant(float(value)), "number")
        raise FormulaError(
            f"`{source_of(node)}` is not allowed in a formula", "write a number or quoted text"
        )

    def _name(self, node: ast.Name) -> Node:
        name = node.id
        if name not in self._kinds:
            if name in ("true", "false"):
                return Node(ast.Constant(name == "true"), "boolean")
            raise FormulaError(f"there is no field or feature `{name}`", self._nearest(name))
        self.names[name] = None
        row = ast.Name("row", ast.Load())
        return Node(ast.Subscript(row, ast.Constant(name), ast.Load()), self._kinds[name])

    def _nearest(self, name: str) -> str:
        near = get_close_matches(name, self._kinds, 1)
        if near:
            return f"write `{near[0]}`"
        if name in FUNCTIONS:
            return f"write `{name}(...)`"
        known = ", ".join(list(self._kinds)[:12])
        return f"write one of: {known} (a feature must be declared above its use)"

    def _number(self, node: ast.expr) -> ast.expr:
        tree, kind = self.visit(node)
        if kind == "text":
            raise FormulaError(
                f"`{source_of(node)}` is text where a number belongs",
                "compare text with == or in, or use a number field",
            )
        return tree

    def _truth(self, node: ast.expr) -> ast.expr:
        return _call("truth", self._number(node))

    def _arithmetic(self, node: ast.BinOp) -> Node:
        left, right = self._number(node.left), self._number(node.right)
        if not isinstance(node.op, _ARITHMETIC):
            raise FormulaError(
                f"`{source_of(node)}` uses an operator that is not allowed",
                "use + - * / // % ** or and/or/not",
            )
        if isinstance(node.op, ast.Pow):
            return Node(_call("power", left, right), "number")
        return Node(ast.BinOp(left, node.op, right), "number")

    def _unary(self, node: ast.UnaryOp) -> Node:
        if isinstance(node.op, ast.Not):
            return Node(ast.UnaryOp(ast.Not(), self._truth(node.operand)), "boolean")
        if isinstance(node.op, ast.Invert):
            raise FormulaError("`~` is not allowed in a formula", "write `not`")
        return Node(ast.UnaryOp(node.op, self._number(node.operand)), "number")

    def _logic(self, node: ast.BoolOp) -> Node:
        return Node(ast.BoolOp(node.op, [self._truth(v) for v in node.values]), "boolean")

    def _compare(self, node: ast.Compare) -> Node:
        sources = [node.left, *node.comparators]
        visited = [self._members(s) if _listing(s) else self.visit(s) for s in sources]
        for index, operator in enumerate(node.ops):
            _check_pair(
                operator, sources[index : index + 2], visited[index].kind, visited[index + 1].kind
            )
        trees = [_call("known", operand.tree) for operand in visited]
        return Node(ast.Compare(trees[0], node.ops, trees[1:]), "boolean")

    def _members(self, node: ast.List | ast.Tuple) -> Node:
        members = [self.visit(element) for element in node.elts]
        if not all(isinstance(member.tree, ast.Constant) for member in members):
            raise FormulaError(
                f"`{source_of(node)}` holds more than constants", "write numbers or quoted text"
            )
        kinds = {"text" if member.kind == "text" else "number" for member in members}
        if len(kinds) != 1:
            raise FormulaError(
                f"`{source_of(node)}` mixes text and numbers, or is empty",
                'write for example ["a", "b"]',
            )
        return Node(ast.Tuple([member.tree for member in members], ast.Load()), members[0].kind)

    def _choice(self, node: ast.IfExp) -> Node:
        body, other = self.visit(node.body), self.visit(node.orelse)
        if (body.kind == "text") != (other.kind == "text"):
            raise FormulaError(
                f"`{source_of(node)}` gives text or a number", "make both sides the same"
            )
        kind: FormulaKind = body.kind if body.kind == other.kind else "number"
        return Node(ast.IfExp(self._truth(node.test), body.tree, other.tree), kind)

    def _call(self, node: ast.Call) -> Node:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        function = FUNCTIONS.get(name)
        if function is None:
            near = get_close_matches(name, FUNCTIONS, 1)
            known = f"write `{near[0]}`" if near else f"use one of: {', '.join(FUNCTIONS)}"
            raise FormulaError(f"there is no function `{source_of(node.func)}`", known)
        count = len(node.args)
        plain = not node.keywords and not any(isinstance(a, ast.Starred) for a in node.args)
        if not plain or not function.least <= count <= function.most:
            raise FormulaError(
                f"`{source_of(node)}` has wrong arguments", f"write {function.usage}"
            )
        if function.lazy:
            return self._lazy(name, node.args)
        texts = function.texts
        trees = [
            self._text(arg) if index in texts else self._number(arg)
            for index, arg in enumerate(node.args)
        ]
        return Node(_call(name, *trees), function.kind)

    def _text(self, node: ast.expr) -> ast.expr:
        tree, kind = self.visit(node)
        if kind != "text":
            raise FormulaError(f"`{source_of(node)}` is not text", "use a text or category field")
        return tree

    def _lazy(self, name: str, args: Sequence[ast.expr]) -> Node:
        nodes = [self.visit(arg) for arg in args]
        kinds = {node.kind for node in nodes}
        if "text" in kinds and len(kinds) > 1:
            raise FormulaError(f"`{name}` mixes text and numbers", "make its arguments the same")
        kind: FormulaKind = nodes[0].kind if len(kinds) == 1 else "number"
        return Node(
            _call(name, *(_later(node.tree) for node in nodes)),
            "boolean" if name == "isnull" else kind,
        )


_VISITORS: dict[type[ast.expr], Callable[[Compiler, Any], Node]] = {
    ast.Constant: Compiler._constant,
    ast.Name: Compiler._name,
    ast.BinOp: Compiler._arithmetic,
    ast.UnaryOp: Compiler._unary,
    ast.BoolOp: Compiler._logic,
    ast.Compare: Compiler._compare,
    ast.IfExp: Compiler._choice,
    ast.Call: Compiler._call,
}


def _listing(node: ast.expr) -> TypeGuard[ast.List | ast.Tuple]:
    return isinstance(node, ast.List | ast.Tuple)


def _check_pair(
    operator: ast.cmpop, pair: Sequence[ast.expr], left: FormulaKind, right: FormulaKind
) -> None:
    """One comparison of a chain: the operator fits the kinds of its two sides."""
    first, second = pair
    if isinstance(operator, ast.Is | ast.IsNot):
        raise FormulaError("`is` is not allowed in a formula", "write == or isnull(x)")
    if isinstance(operator, ast.In | ast.NotIn) != _listing(second) or _listing(first):
        raise FormulaError(
            f"`{source_of(second)}` does not fit the comparison before it",
            'write for example `x == 1` or `x in ["a", "b"]`',
        )
    texts = (left == "text", right == "text")
    if texts[0] != texts[1]:
        text, other = (first, second) if texts[0] else (second, first)
        raise FormulaError(
            f"`{source_of(text)}` is text and `{source_of(other)}` is not: they are never equal",
            "write both as quoted text, or both as numbers",
        )
    if all(texts) and isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
        raise FormulaError(
            f"`{source_of(first)}` is text, which has no order", "compare text with == or in"
        )


def _call(operation: str, *args: ast.expr) -> ast.expr:
    if operation == "known" and isinstance(args[0], ast.Constant):
        return args[0]
    return ast.Call(ast.Name(operation, ast.Load()), list(args), [])


def _later(body: ast.expr) -> ast.expr:
    nothing = ast.arguments(posonlyargs=[], args=[], kwonlyargs=[], kw_defaults=[], defaults=[])
    return ast.Lambda(nothing, body)


def source_of(node: ast.expr) -> str:
    """The formula that `node` stands for, for a message."""
    return shortened(ast.unparse(node))


def shortened(text: str) -> str:
    """`text`, cut to what a message can hold."""
    return text if len(text) <= 60 else f"{text[:57]}..."
