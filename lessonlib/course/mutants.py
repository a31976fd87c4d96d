"""Mutants of a solution: the same function with one small change, as a slip of the keyboard or of thought would make.

A check with teeth tells each from the solution. The operators are the usual ones of mutation testing (R. A. DeMillo and
others, "Hints on Test Data Selection", 1978; names as in A. J. Offutt and others, 1996), on the syntax tree, inside the
exercise's gap only."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
ARITHMETIC = {
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.Pow: (ast.Mult,),
    ast.FloorDiv: (ast.Div, ast.Mult), ast.Mod: (ast.FloorDiv,), ast.LShift: (ast.RShift,), ast.RShift: (ast.LShift,),
    ast.BitAnd: (ast.BitOr,), ast.BitOr: (ast.BitAnd,),
}  # fmt: skip
RELATIONAL = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,), ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}  # fmt: skip
# Names that are easily taken for each other.
TWINS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor", "argmax": "argmin",
    "argmin": "argmax", "amax": "amin", "amin": "amax", "sum": "mean", "mean": "sum", "log": "log2", "log2": "log",
    "exp": "exp2", "triu": "tril", "tril": "triu", "int": "round", "round": "int", "softmax": "log_softmax",
    "cos": "sin", "sin": "cos", "repeat_interleave": "repeat", "append": "extend",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One changed solution: its operator, the statement `before` and `after` (one line each), and the whole cell's code."""

    operator: str
    before: str
    after: str
    code: str
    again: int = 1  # 2 for the second place where the same change gives the same line

    @property
    def name(self) -> str:
        """Stands for the mutant in lists: it stays while the statement stays."""
        return f"{self.before} -> {self.after}" + (f" ({self.again})" if self.again > 1 else "")


def mutants(source: str) -> list[Mutant]:
    """The mutants of an exercise cell, in the order of the code, none twice and none equal to the solution.

    `source` is the cell with its gap marked; ValueError when it has no gap or is no Python."""
    lines = source.splitlines()
    first = next((i for i, line in enumerate(lines, 1) if line.strip() == BEGIN), None)
    last = next((i for i, line in enumerate(lines, 1) if line.strip() == END), None)
    if first is None or last is None:
        raise ValueError(f"The cell has no gap: it needs the lines {BEGIN!r} and {END!r}.")
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"The cell is no plain Python: {error}.") from None
    seen, found = {ast.unparse(tree)}, []
    for number, node in enumerate(ast.walk(tree)):
        if first < getattr(node, "lineno", 0) < last:
            for operator, change in changes(node):
                mutant = _changed(tree, number, operator, change)
                if mutant is not None and mutant.code not in seen:
                    seen.add(mutant.code)
                    found.append((node.lineno, node.col_offset, mutant))
    times, named = Counter(), []
    for *_, mutant in sorted(found, key=lambda f: f[:2]):
        times[mutant.name] += 1
        named.append(replace(mutant, again=times[mutant.name]))
    return named


def changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """(operator, change) for a node; a change takes a copy of the node and returns what stands in its place."""
    if isinstance(node, ast.BinOp | ast.AugAssign):
        for other in ARITHMETIC.get(type(node.op), ()):
            yield "arithmetic", _set("op", other())
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Sub | ast.Div | ast.FloorDiv | ast.Pow | ast.MatMult):
        yield "operands swapped", _swap("left", "right")
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            for other in RELATIONAL.get(type(operator), ()):
                yield "relational", _set_item("ops", place, other())
    if isinstance(node, ast.BoolOp):
        yield "logical", _set("op", ast.Or() if isinstance(node.op, ast.And) else ast.And())
    if isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
        yield "operator removed", lambda n: n.operand
    if isinstance(node, ast.If | ast.While | ast.IfExp):
        yield "condition negated", lambda n: _put(n, "test", ast.UnaryOp(ast.Not(), n.test))
    if isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
        for place, part in enumerate(node.generators):
            if part.ifs:
                yield "filter removed", _without_filter(place)
    if isinstance(node, ast.Constant):
        for value in _other_values(node.value):
            yield "constant", _set("value", value)
    if isinstance(node, ast.Slice):
        for end in ("lower", "upper"):
            if getattr(node, end) is not None:
                yield "slice", _set(end, None)
    if isinstance(node, ast.Call):
        yield from _calls(node)
    if isinstance(node, ast.Return) and node.value is not None:
        if isinstance(node.value, ast.Tuple) and len(node.value.elts) == 2:
            yield "results swapped", lambda n: _put(n, "value", ast.Tuple(n.value.elts[::-1], ast.Load()))
        if not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield "statement", _set("value", None)
    if isinstance(node, ast.Assign | ast.AugAssign | ast.Expr | ast.For | ast.While | ast.If | ast.Raise):
        yield "statement", lambda n: ast.Pass()
    if isinstance(node, ast.Break):
        yield "statement", lambda n: ast.Continue()
    if isinstance(node, ast.Continue):
        yield "statement", lambda n: ast.Pass()


def _calls(node: ast.Call) -> Iterator[tuple[str, object]]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
    if name in TWINS:
        field = "attr" if isinstance(node.func, ast.Attribute) else "id"
        yield "function", lambda n: _put(n, "func", _set(field, TWINS[name])(copy.deepcopy(n.func)))
    if len(node.args) >= 2 and name not in ("min", "max"):  # whose order means nothing
        yield "arguments swapped", lambda n: _put(n, "args", [n.args[1], n.args[0], *n.args[2:]])
    for place in range(len(node.keywords)):
        yield (
            "keyword removed",
            lambda n, place=place: _put(n, "keywords", [k for i, k in enumerate(n.keywords) if i != place]),
        )


def _other_values(value) -> list:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value - 1]
    if isinstance(value, float):
        return [value * 2, value / 2] if value else [1.0]
    if isinstance(value, str):
        return [value + "x"] if value else ["x"]
    return []


def _changed(tree: ast.Module, number: int, operator: str, change) -> Mutant | None:
    """The tree with its node `number` (in the order of ast.walk) changed; None where that gives no valid code."""
    made = copy.deepcopy(tree)
    target = next(node for i, node in enumerate(ast.walk(made)) if i == number)
    statement = _statement(made, target)
    before = _line(statement)
    if _is_docstring(made, target):
        return None
    new = change(copy.deepcopy(target))
    if target is statement:
        after = _line(new)
    made = _Put(target, new).visit(made)
    if target is not statement:
        after = _line(statement)
    try:
        code = ast.unparse(ast.fix_missing_locations(made))
        compile(code, "<mutant>", "exec")
    except (SyntaxError, ValueError, AttributeError, TypeError):
        return None
    return Mutant(operator, before, after, code)


class _Put(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else super().generic_visit(node)


def _statement(tree: ast.Module, target: ast.AST) -> ast.AST:
    """The innermost statement that holds the node."""
    found = target
    for node in ast.walk(tree):
        if isinstance(node, ast.stmt) and any(child is target for child in ast.walk(node)):
            found = node  # ast.walk goes from the outside in
    return found


def _line(node: ast.AST) -> str:
    """The statement in one line: of a compound one, its head."""
    text = ast.unparse(ast.fix_missing_locations(copy.deepcopy(node)))
    return text.splitlines()[0]


def _is_docstring(tree: ast.Module, target: ast.AST) -> bool:
    homes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module) and n.body]
    texts = [h.body[0] for h in homes if isinstance(h.body[0], ast.Expr) and isinstance(h.body[0].value, ast.Constant)]
    return any(target is t or target is t.value for t in texts)


def _put(node, name: str, value):
    setattr(node, name, value)
    return node


def _set(name: str, value):
    return lambda node: _put(node, name, value)


def _set_item(name: str, place: int, value):
    def change(node):
        getattr(node, name)[place] = value
        return node

    return change


def _swap(one: str, other: str):
    def change(node):
        first, second = getattr(node, one), getattr(node, other)
        setattr(node, one, second)
        setattr(node, other, first)
        return node

    return change


def _without_filter(place: int):
    def change(node):
        node.generators[place].ifs = []
        return node

    return change
