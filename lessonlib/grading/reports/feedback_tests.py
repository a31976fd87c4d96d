"""What a learner may be told about a test cell: which test failed and the hint that its author wrote, never hidden code or
hidden inputs.

Texts that come from a run can repeat what a hidden test handed to the learner's function: its error messages, its prints,
and what `score_properties` prints of them. So of hidden tests only the author's own words are shown, as they stand in the
source: a constant message of an `assert`, the name of a property, the constant parts of a check's message."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import re
import sys

from ..canonical import bound_names, python_of

OPEN, WAITS, PASSED, PARTLY, FAILED = "not answered yet", "waits for your instructor", "passed", "partly", "failed"
MESSAGE_NAMES = ("msg", "err_msg", "message", "what")  # how test helpers call the words that they fail with
# A reason of the machinery, and what a learner reads instead: what happened, and what to do.
PLAIN_WORDS = (
    (
        "memory or processor",
        "It used up its memory or its processor time. Look for a loop that does not end, or for very large data.",
    ),
    ("memory", "It used more memory than is allowed. Look for data that grows without end, or use smaller arrays."),
    (
        r"too long|in time|\blate\b|timed out",
        "It ran too long and was stopped. Look for a loop that does not end, or for work that is done again and again.",
    ),
    ("ended itself", "It ended itself. Take out calls like exit(), quit() or os._exit()."),
    ("crashed", "Python itself crashed in it. Look at calls into compiled libraries with sizes that do not fit."),
    (
        "too much|too large|too big|nested|deep",
        "It answered with more data than can be taken. Return a smaller or simpler value.",
    ),
    (
        "ended|closed|gone|broken|reset|pipe",
        "Its process ended early. Run the notebook from top to bottom in a fresh kernel and see where it stops.",
    ),
)
UNCLEAR = "It gave no answer that can be used. Return plain numbers, texts, lists, dictionaries or arrays."


def plain_reason(why: str) -> str:
    """A machinery's reason in plain words, with what to do; nothing of `why` itself, which a submission can influence."""
    told = re.search("is gone: (.*); later", why)
    return next(
        (words for pattern, words in PLAIN_WORDS if re.search(pattern, told[1] if told else why, re.I)), UNCLEAR
    )


def findings(about: dict, row: dict | None, outputs: list[dict], points: float | None, secret=None) -> list[tuple]:
    """[(state, sentence, detail text)] for one test cell. `about`: its cell in the snapshot; `row`: its part of the record,
    None when stock nbgrader graded; `secret`: names that hidden tests bind, or None when messages of visible tests must not
    be shown."""
    hidden, most = bool(about["hidden"]), about["points"]
    if row and row["reason"] == "not reached":
        return [(FAILED, "not run: your notebook had stopped before (see the reasons above)", "")]
    error = next((o for o in outputs if o["output_type"] == "error"), None)
    if error is not None:
        return _failed(about, row, error, secret)
    if row and row["reason"]:
        return [(WAITS, "the tests gave no clear points: your instructor decides", "")]
    if any(o["output_type"] == "stream" and o["name"] == "stderr" for o in outputs):
        return [
            (
                FAILED,
                "something was written to the error stream, a warning for example, and that counts as a failure",
                "",
            )
        ]
    if points is not None and points < most:
        return _partly(about, outputs, points)
    found = [(PASSED, "tests: all passed", "")] if _has_visible_tests(about) else []
    return found + ([(PASSED, "hidden tests: all passed", "")] if hidden else []) or [(PASSED, "tests: all passed", "")]


def _failed(about: dict, row: dict | None, error: dict, secret) -> list[tuple]:
    hidden, name = bool(about["hidden"]), error["ename"]
    some = "hidden tests" if hidden else "tests"
    if name == "SubmissionGone":
        return [
            (
                FAILED,
                f"{some}: not finished, since your notebook's process gave no answer",
                plain_reason(error["evalue"]),
            )
        ]
    if name == "CellTimeoutError":
        return [(FAILED, f"{some}: not finished in time", plain_reason("timed out"))]
    # The line of a weaker test comes from the student's own process: it proves nothing.
    line = row["line"] if row and not row["weaker"] else None
    lines = about["source"].split("\n")
    shown = line is not None and 1 <= line <= len(lines) and lines[line - 1].rstrip() in about["visible"].split("\n")
    if not hidden and line is None:
        line = _told_line(error["traceback"], lines)
    if not hidden or (shown and not _in_hidden(about, line)):
        text = lines[line - 1].strip() if line is not None and 1 <= line <= len(lines) else ""
        if name == "NotImplementedError":
            found = [(OPEN, "test: the answer is not written yet", text)]
        elif secret is not None and not _after_hidden(about, line) and not _uses(about, line, secret):
            found = [(FAILED, "test: failed", f"{text}\n{name}: {error['evalue']}".strip())]
        else:
            found = [(FAILED, f"test: failed with {builtin(name)}", text)]
        return found + (
            [(FAILED, "hidden tests: not reached", "")] if hidden and not _after_hidden(about, line) else []
        )
    number, statement = _statement(about, line)
    said = f"hidden test {number}: failed" if number else "hidden tests: failed"
    if name == "NotImplementedError":
        return [(OPEN, f"{said}, the answer is not written yet", "")]
    if name not in ("AssertionError", "CheckFailed"):
        said += f", your code stopped with {builtin(name)}"
    return [(FAILED, said, _hint(statement, line) if statement is not None else "")]


def _partly(about: dict, outputs: list[dict], points: float) -> list[tuple]:
    """A cell whose last expression gave part of the points."""
    state = FAILED if points <= 0 else PARTLY
    some = "hidden tests" if about["hidden"] else "tests"
    found = [(state, f"{some}: {points:g} of {about['points']:g} points", "")]
    printed = "".join(o["text"] for o in outputs if o["output_type"] == "stream" and o["name"] == "stdout")
    if about["hidden"]:
        for exercise in _scored(about["source"]):
            found += property_failures(exercise, printed)
    return found


def property_failures(exercise: str, printed: str) -> list[tuple]:
    """What `score_properties(exercise, ...)` printed, in its author's words. Lines of the learner's own are passed over, and
    so is whatever no constant of the check says: values, inputs, messages of errors."""
    from ...checks import core

    try:
        properties = core.exercise(exercise).properties
    except ValueError:
        return []
    found, pieces = [], re.split(rf"^{re.escape(exercise)}: ", printed, flags=re.M)[1:]
    for number, (name, function) in enumerate(properties, 1):
        message = next((p.removeprefix(f"{name}: ") for p in pieces if p.startswith(f"{name}: ")), None)
        if message is not None:
            found.append(
                (FAILED, f"hidden test {number}: failed, {name}", _authors_words(message, function.__module__))
            )
    return found


def _authors_words(message: str, module: str) -> str:
    """The parts of a check's message that stand in its source; values in between become "…"."""
    first, *more = message.strip("\n").split("\n")
    said = []
    if first.strip() == "not written yet":
        return "The answer is not written yet."
    kind = re.match(r"([A-Za-z]\w*): ", first)
    known = _written(module, first)
    if known:
        said.append(known)
    elif kind and builtin(kind[1]) == kind[1]:
        said.append(f"Your code stopped with {kind[1]}.")
    for line in more:
        reason = line.removeprefix("  likely reason: ")
        if reason != line and (known := _written(module, reason)):
            said.append(f"Likely reason: {known}.")
            break
    return "\n".join(said)


def _written(module: str, text: str) -> str:
    """`text` as the source of `module` has it, with "…" for computed parts; "" when it is not from there."""
    constants, templates = _texts(module)
    if text in constants:
        return text
    return next((shown for pattern, shown in templates if len(text) < 2000 and pattern.fullmatch(text)), "")


@functools.cache
def _texts(module: str) -> tuple[frozenset, tuple]:
    """(constant texts, (pattern, text shown) of f-strings) in the source of a module of checks."""
    constants, templates = set(), []
    for node in ast.walk(ast.parse(inspect.getsource(sys.modules[module]))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 3:
            constants.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            fixed = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            # Words around the gaps help only when the sentence begins with them and there are some.
            if fixed and fixed[0] and len(re.findall(r"\w+", " ".join(filter(None, fixed)))) >= 3:
                pattern = "".join(".{1,300}?" if part is None else re.escape(part) for part in fixed)
                templates.append((re.compile(pattern), "".join("…" if part is None else part for part in fixed)))
    return frozenset(constants), tuple(templates)


def _scored(source: str) -> list[str]:
    """Ids of the exercises that a test cell scores by their properties."""
    return [
        node.args[0].value
        for node in ast.walk(_parsed(source) or ast.Module([], []))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", getattr(node.func, "attr", "")) == "score_properties"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]


def hidden_names(shot: dict) -> set[str]:
    """Names that hidden tests bind, in any cell."""
    found = set()
    for cell in shot["cells"]:
        for first, last in cell["hidden"]:
            found |= bound_names("\n".join(cell["source"].split("\n")[first - 1 : last]))
    return found


def _statement(about: dict, line: int | None):
    """(ordinal of the hidden test that `line` is in, its statement); (0, None) when that cannot be told.

    Tests are the top-level statements of the hidden regions that assert, raise or call something; definitions and imports are
    none. A line of a statement that is no test counts as the test that it prepares."""
    tree = _parsed(about["source"])
    if line is None or tree is None:
        return 0, None
    number = 0
    for node in tree.body:
        if not _in_hidden(about, node.lineno):
            continue
        number += _is_test(node)
        if node.lineno <= line <= (node.end_lineno or node.lineno):
            return (number, node) if _is_test(node) else (number + 1, None)
    return 0, None


def _is_test(node: ast.stmt) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
        return False
    return any(isinstance(inner, (ast.Assert, ast.Raise, ast.Call)) for inner in ast.walk(node))


def _has_visible_tests(about: dict) -> bool:
    tree = _parsed(about["source"])
    return tree is not None and any(_is_test(n) for n in tree.body if not _in_hidden(about, n.lineno))


def _hint(statement: ast.stmt, line: int) -> str:
    """The constant message of the check on `line` of a failed statement, or ""."""
    nodes = [n for n in ast.walk(statement) if hasattr(n, "lineno") and n.lineno <= line <= (n.end_lineno or n.lineno)]
    for node in reversed(nodes):  # the innermost first
        if isinstance(node, ast.Assert) and node.msg is not None:
            return _constant(node.msg)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            return _constant(node.exc.args[0])
        if isinstance(node, ast.Call):
            given = [k.value for k in node.keywords if k.arg in MESSAGE_NAMES]
            if getattr(node.func, "id", getattr(node.func, "attr", "")) == "expect":
                given += node.args[2:3]
            if given and _constant(given[0]):
                return _constant(given[0])
    return ""


def _constant(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _in_hidden(about: dict, line: int) -> bool:
    return any(first <= line <= last for first, last in about["hidden"])


def _after_hidden(about: dict, line: int | None) -> bool:
    """Whether a visible line runs after hidden code of its own cell, whose words it could carry."""
    return line is not None and any(last < line for _, last in about["hidden"])


def _told_line(traceback: list[str], lines: list[str]) -> int | None:
    """The line of a test cell that a traceback points to: of a visible cell only, as a submission can write tracebacks."""
    for told in traceback:
        for found in re.finditer(r"^-+> ?(\d{1,4}) (.*)$", told, re.M):
            if 1 <= int(found[1]) <= len(lines) and lines[int(found[1]) - 1].strip() == found[2].strip():
                return int(found[1])
    return None


def _uses(about: dict, line: int | None, names: set[str]) -> bool:
    """Whether the statement on a line of a test cell (on any, for None) uses one of these names."""
    tree = _parsed(about["source"])
    if tree is None:
        return bool(names)
    here = [n for n in tree.body if line is None or n.lineno <= line <= (n.end_lineno or n.lineno)]
    return any(isinstance(n, ast.Name) and n.id in names for node in here for n in ast.walk(node))


def builtin(name: str) -> str:
    """The name of a builtin error, or "an error" for names that a submission can choose."""
    kind = getattr(builtins, name, None) if re.fullmatch(r"\w+", name) else None
    return name if isinstance(kind, type) and issubclass(kind, BaseException) else "an error"


@functools.lru_cache(maxsize=256)
def _parsed(source: str) -> ast.Module | None:
    for text in (source, None):
        try:
            return ast.parse(python_of(source) if text is None else text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
    return None
