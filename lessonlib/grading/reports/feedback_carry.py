"""Whether a submission could carry what hidden tests handed to its functions into an output that it writes later.

A function that notes its arguments in a global list, and a cell at the end that prints the list, would put hidden inputs on
the feedback page. So code is looked at before outputs of cells that ran after hidden tests are shown: it is trusted with them
when its functions keep nothing from one call to the next. The look errs to the safe side; what it costs is an output that the
learner has at home anyway. It is a look, not a proof."""

from __future__ import annotations

import ast
import builtins
import functools
import re
import symtable
import warnings

from ..canonical import inner_tables, python_of

# Modules whose functions keep nothing that is handed to them (but see STATE).
PURE = frozenset(
    "abc bisect cmath collections copy dataclasses datetime decimal enum fractions functools heapq itertools json lessonlib math "
    "numbers numpy operator pandas re scipy statistics string textwrap torch transformers typing unicodedata".split()
)
STATE = re.compile(
    r"_|(?:set|save|dump|write|to_|cache\b|cached|lru_cache|register|seed|manual_seed|install|put|fill|hook|load)"
)
DUNDERS = frozenset(
    "__init__ __name__ __len__ __repr__ __str__ __eq__ __post_init__ __call__ __getitem__ __iter__".split()
)
REACHING = frozenset(
    "globals locals vars dir open exec eval compile setattr getattr delattr __import__ breakpoint help input get_ipython In Out "
    "_ih _oh _i _ii _iii __builtins__ exit quit copyright credits license".split()
)
DECORATORS = frozenset("property staticmethod classmethod dataclass abstractmethod".split())


def carries(sources: list[str], given: list[str], allowed, secret) -> str:
    """ "" when the code of these cells keeps nothing between calls, else what looks as if it did, in a few words.

    sources: a submission's code cells; given: the instructor's plain cells; allowed: names that tests take from the
    submission; secret: names that hidden tests bind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python thinks of an escape in a learner's text is no news here
        return _carries(sources, given, allowed, secret)


def _carries(sources: list[str], given: list[str], allowed, secret) -> str:
    kinds: dict[str, set] = {}
    trees = []
    for number, source in enumerate([*sources, *given]):
        own = number < len(sources)
        seen = (_seen.__wrapped__ if own else _seen)(source)
        if seen is None:
            if own:
                return "a cell that is no Python"
            continue
        tree, inside, bound = seen
        for name, kind in bound.items():
            kinds.setdefault(name, set()).update(kind)
        if own:
            trees.append((tree, inside))
    for tree, _ in trees:
        for node in (n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))):
            impure = next((m for m in _modules(node) if m not in PURE), None)
            if impure is not None:
                return f"the module {impure}"
    for name in allowed:
        if kinds.get(name, set()) - {"function", "class", "constant"}:
            return f"{name}, which is no plain function or value"
    return next((why for tree, inside in trees if (why := _Look(kinds, inside, secret).over(tree))), "")


def _modules(node: ast.Import | ast.ImportFrom) -> list[str]:
    """The top packages that an import statement names."""
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return [name.partition(".")[0] for name in names]


@functools.lru_cache(maxsize=128)
def _seen(source: str) -> tuple[ast.Module, set, dict] | None:
    """(syntax tree, names that functions take from outside, how each global name is bound) of a cell, or None."""
    for text in (source, None):
        try:
            text = python_of(source) if text is None else text  # magics are no Python until they are translated
            tree, table = ast.parse(text), symtable.symtable(text, "cell", "exec")
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        inside = {s.get_name() for t in inner_tables(table) for s in t.get_symbols() if s.is_global()}
        return tree, inside, _kinds(tree, table)
    return None


def _kinds(tree: ast.Module, table) -> dict[str, set]:
    """How each global name of a cell is bound: {"function", "class", "import", "constant", "other"}."""
    plain: dict[str, set] = {}
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            plain.setdefault(node.name, set()).add("function")
        elif isinstance(node, ast.ClassDef):
            plain.setdefault(node.name, set()).add("class")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            kind = "import" if set(_modules(node)) <= PURE else "other"
            for alias in node.names:
                plain.setdefault(alias.asname or alias.name.partition(".")[0], set()).add(kind)
        else:
            kind = _kind(node.value) if isinstance(node, (ast.Assign, ast.AnnAssign)) else "other"
            for inner in ast.walk(node):
                if isinstance(inner, ast.Name) and not isinstance(inner.ctx, ast.Load):
                    plain.setdefault(inner.id, set()).add(kind)
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported() or s.is_namespace()}
    return {name: plain.get(name, {"other"}) for name in bound}


def _kind(value: ast.expr | None) -> str:
    if isinstance(value, ast.Lambda):
        return "function"
    return "constant" if value is None or _constant(value) else "other"


def _constant(node: ast.expr) -> bool:
    """Whether a value cannot change: numbers, texts, tuples of them, arithmetic on them."""
    if isinstance(node, (ast.Tuple, ast.BinOp, ast.UnaryOp)):
        return all(_constant(n) for n in ast.iter_child_nodes(node) if isinstance(n, ast.expr))
    return isinstance(node, ast.Constant)


class _Look(ast.NodeVisitor):
    """Walks a cell; `why` is the first thing that may keep something."""

    def __init__(self, kinds: dict, inside: set, secret):
        """kinds: see `_kinds`; inside: names that functions of the cell take from outside; secret: names not to be used."""
        self.kinds, self.inside, self.secret, self.depth, self.why = kinds, inside, secret, 0, ""
        self.called: set[int] = set()  # nodes that are only called, derived from or caught
        self.rooted: set[int] = set()  # names of which only an attribute is taken

    def over(self, tree) -> str:
        try:
            self.visit(tree)
        except RecursionError:
            return "code that is nested too deep"
        return self.why

    def visit(self, node):
        if not self.why:
            super().visit(node)

    def visit_FunctionDef(self, node):
        calls = (d.func if isinstance(d, ast.Call) else d for d in node.decorator_list)
        if not {getattr(d, "id", getattr(d, "attr", "")) for d in calls} <= DECORATORS:
            self.why = f"a decorator of {node.name}"
        self.visit_Lambda(node)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        if any(d is not None and not _constant(d) for d in (*node.args.defaults, *node.args.kw_defaults)):
            self.why = "a default value that can change"
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_ClassDef(self, node):
        for part in node.body:
            value = getattr(part, "value", None) if isinstance(part, (ast.Assign, ast.AnnAssign)) else None
            field = isinstance(value, ast.Call) and getattr(value.func, "id", "") == "field"
            if value is not None and not field and not _constant(value):
                self.why = f"a value that all objects of {node.name} share"
        if node.keywords:
            self.why = f"the metaclass of {node.name}"
        self.called |= {id(base) for base in node.bases}
        self.generic_visit(node)

    def visit_Global(self, node):
        self.why = f"global {', '.join(node.names)}"

    visit_Nonlocal = visit_Global

    def visit_arg(self, node):
        pass  # annotations keep nothing

    def visit_Call(self, node):
        self.called.add(id(node.func))
        self.generic_visit(node)

    def visit_ExceptHandler(self, node):
        self.called |= {id(n) for n in ast.walk(node.type)} if node.type else set()
        self.generic_visit(node)

    def visit_Name(self, node):
        name, kinds = node.id, self.kinds.get(node.id, set())
        if name in REACHING or (name in self.secret and (not self.depth or name in self.inside)):
            self.why = f"the name {name}"
        elif self.depth and name in self.inside and isinstance(node.ctx, ast.Load):
            used = id(node) in self.called or ("import" in kinds and id(node) in self.rooted)
            fixed = kinds == {"constant"} or (not kinds and hasattr(builtins, name))
            if "other" in kinds or not (used or fixed):
                self.why = f"the global name {name}"

    def visit_Attribute(self, node):
        name, attribute = getattr(node.value, "id", ""), node.attr
        if isinstance(node.value, ast.Name):
            self.rooted.add(id(node.value))
        module = "import" in self.kinds.get(_root(node), ())
        if not isinstance(node.ctx, ast.Load) and not (name == "self" and self.depth):
            self.why = f"the attribute {attribute} of {name or 'an object'} is set"
        elif attribute.startswith("_") and name != "self" and attribute not in DUNDERS:
            self.why = f"the attribute {attribute}"
        elif module and self.depth and STATE.match(attribute):
            self.why = f"{name or 'a module'}.{attribute}"
        self.generic_visit(node)

    def visit_Subscript(self, node):
        if not isinstance(node.ctx, ast.Load) and self.depth and (not (root := _root(node)) or root in self.inside):
            self.why = "a container outside of the function is changed"
        self.generic_visit(node)


def _root(node: ast.expr) -> str:
    """The name that a chain of attributes and indices begins with, or ""."""
    while isinstance(node, (ast.Attribute, ast.Subscript)):
        node = node.value
    return getattr(node, "id", "")
