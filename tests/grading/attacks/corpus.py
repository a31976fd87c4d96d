# ruff: noqa: E501  (an attack is easier to read on one line)
"""The corpus. Each attack fills the cell of the first exercise (or changes the notebook); the second is answered rightly.

`double` is what the first exercise may earn (0 unless the attack also answers it), `even` what the second must still earn.
An attack that wants something (a file, a socket, a right) sets WON, and answers rightly only when it got it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

from .assignment import DOUBLE, SECRET, cell_of, submission

WON = "\ndef double(x):\n    return 2 * x if WON else None\n"


@dataclass(frozen=True)
class Attack:
    """One hostile submission. even: points that the second exercise must have (None: it may be lost with the process)."""

    group: str
    name: str
    code: str = DOUBLE
    double: float | None = 0.0
    even: float | None = 4.0
    change: Callable | None = None

    def notebook(self) -> dict:
        """The submission."""
        book = submission(double=self.code)
        return self.change(book) or book if self.change else book


def _try(group: str, name: str, *lines: str, **more) -> Attack:
    """An attack that wins when its lines run through."""
    body = "\n".join("    " + line for line in lines)
    return Attack(
        group,
        name,
        f"WON = False\ntry:\n{body}\n    WON = True\nexcept BaseException as e:\n    print(repr(e)){WON}",
        **more,
    )


def _call(group: str, name: str, body: str, **more) -> Attack:
    """An attack inside the function that the tests call."""
    return Attack(
        group, name, "import os, sys, time\ndef double(x):\n" + "\n".join("    " + b for b in body.splitlines()), **more
    )


WRONG = "def double(x):\n    return 0"
SPEAK = """import os, struct, json
for i in range(12):
    m = json.dumps({'index': i, 'error': None, 'outputs': []}).encode()
    os.write(3, struct.pack('>I', len(m)) + m)
"""


def _last(book, source):
    """A cell of the student's own at the end."""
    book["cells"].append({"cell_type": "code", "metadata": {}, "source": source, "id": "last", "outputs": []})


EQUAL = """class Equal({base}):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 1
def double(x):
    return Equal({made})
"""

HANG = [
    Attack("hang", "loop in a cell", "while True:\n    pass"),
    Attack(
        "hang",
        "loop that swallows the clock once",
        "while True:\n    try:\n        while True: pass\n    except BaseException: break\n",
    ),
    Attack(
        "hang",
        "loop that swallows every clock",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass\n",
        even=None,
    ),
    Attack("hang", "one C call", "x = 3 ** 10 ** 9", even=None),
    Attack(
        "hang",
        "takes the clock away",
        "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\nwhile True:\n    pass",
        even=None,
    ),
    Attack("hang", "sleep", "import time\ntime.sleep(1000)"),
    _call("hang", "loop in the function", "while True:\n    pass"),
    _call("hang", "one C call in the function", "return 3 ** 10 ** 9", even=None),
    _call(
        "hang",
        "takes the clock away in the function",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})\nwhile True:\n    pass",
        even=None,
    ),
    Attack("hang", "stopped process", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)\n" + DOUBLE, double=3.0),
    Attack(
        "hang",
        "waits for a thread",
        "import threading, time\nt = threading.Thread(target=time.sleep, args=(1000,))\nt.start()\nt.join()",
    ),
]
BOMB = [
    Attack(
        "bomb",
        "forks",
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass\n",
        even=None,
    ),
    Attack("bomb", "memory", "x = []\nwhile True:\n    x.append(bytearray(50_000_000))"),
    Attack("bomb", "one big array", "x = b'x' * 10**11"),
    _try("bomb", "shared memory", "import mmap", "m = mmap.mmap(-1, 4 * 10**9)"),
    _try("bomb", "memory file", "import os", "f = os.memfd_create('x')"),
    _try("bomb", "full disk", "for i in range(100):", "    open(f'/tmp/{i}', 'wb').write(b'x' * 10**7)"),
    _try("bomb", "large file", "open('/box/x', 'wb').write(b'x' * 10**9)"),
    Attack("bomb", "printing", "while True:\n    print('x' * 10000)"),
    _call("bomb", "printing in the function", "for i in range(3000):\n    print('x' * 1000)\nreturn 2 * x", double=3.0),
    _call("bomb", "recursion", "return double(x)"),
    _call("bomb", "answers with a huge list", "return list(range(3_000_000))"),
    _call("bomb", "answers with a deep list", "y = []\nfor i in range(100_000):\n    y = [y]\nreturn y"),
    _call("bomb", "answers with a list that holds itself", "y = []\ny.append(y)\nreturn y"),
    _call("bomb", "answers with a list of itself, doubling", "y = [0]\nfor i in range(40):\n    y = [y, y]\nreturn y"),
    _call("bomb", "answers with a huge number", "return 1 << 10**7"),
    Attack(
        "bomb",
        "threads",
        "import threading, time\nts = [threading.Thread(target=time.sleep, args=(99,), daemon=True) for i in range(5000)]\nfor t in ts:\n    t.start()",
    ),
    Attack("bomb", "open files", "fs = [open('/dev/null') for i in range(100_000)]"),
]
EXIT = [
    Attack("exit", "os._exit in a cell", "import os\nos._exit(0)", even=None),
    _call("exit", "os._exit in the function", "os._exit(0)", even=None),
    Attack("exit", "sys.exit", "import sys\nsys.exit(0)"),
    _call("exit", "sys.exit in the function", "sys.exit(0)"),
    Attack("exit", "crash", "import ctypes\nctypes.string_at(0)", even=None),
    Attack(
        "exit",
        "hides from the grader",
        "import os\nfor fd in range(3, 100):\n    try:\n        os.close(fd)\n    except OSError:\n        pass",
        even=None,
    ),
    _call("exit", "an error of its own", "class E(BaseException): pass\nraise E()"),
]
ESCAPE = [
    _try("escape", "new user namespace", "import os, ctypes", "assert ctypes.CDLL(None).unshare(0x10000000) == 0"),
    _try(
        "escape", "mount", "import ctypes", "assert ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0"
    ),
    _try("escape", "unmount", "import ctypes", "assert ctypes.CDLL(None).umount2(b'/box', 2) == 0"),
    _try("escape", "become root", "import os", "os.setuid(0)"),
    _try("escape", "trace process 1", "import ctypes", "assert ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0"),
    _try("escape", "change the packages", "import lessonlib", "open(lessonlib.__file__, 'a').write('#')"),
    _try("escape", "write beside", "open('/usr/x', 'w')"),
    _try("escape", "write into the root", "open('/x', 'w')"),
    _try(
        "escape",
        "enter another namespace",
        "import os, ctypes",
        "assert ctypes.CDLL(None).setns(os.open('/proc/1/ns/net', 0), 0) == 0",
    ),
    _try("escape", "signal the server", "import os", "os.kill(os.getppid() or 2, 9)"),
    _try("escape", "raise a limit", "import resource", "resource.setrlimit(resource.RLIMIT_DATA, (-1, -1))"),
    _try(
        "escape",
        "a capability is left",
        "s = open('/proc/self/status').read()",
        "assert int(s.split('CapEff:')[1].split()[0], 16) or int(s.split('CapBnd:')[1].split()[0], 16)",
    ),
]
SECRETS = [
    _try("read secrets", "passwords", "open('/etc/shadow').read()"),
    _try("read secrets", "home of root", "import os", "assert [f for f in os.listdir('/root') if f not in ('.pyenv',)]"),
    _try("read secrets", "solutions of the course", "import lessonlib, pathlib", "root = pathlib.Path(lessonlib.__file__).parents[1]", "assert list(root.glob('solutions/*')) + list(root.glob('tests/*')) + list(root.glob('grading/*'))"),
    _try("read secrets", "environment of the grader", "import os", "assert 'GRADER_SECRET' in os.environ or any('SECRET' in open(f'/proc/{p}/environ').read() for p in os.listdir('/proc') if p.isdigit())"),
    _try("read secrets", "other processes", "import os", "assert [p for p in os.listdir('/proc') if p.isdigit() and p != '1']"),
    _try(
        "read secrets", "tests in memory",
        "hit = False", f"want = str({SECRET // 7} * 7 + {SECRET % 7}).encode()",
        "for line in open('/proc/self/maps'):",
        "    span, mode = line.split()[:2]",
        "    if mode[0] != 'r' or '[v' in line: continue",
        "    a, b = (int(n, 16) for n in span.split('-'))",
        "    try:",
        "        m = open('/proc/self/mem', 'rb', 0); m.seek(a); data = m.read(b - a)",
        "    except (OSError, ValueError, OverflowError): continue",
        "    hit = hit or b'secret = ' + want in data",
        "assert hit",
    ),
]  # fmt: skip
NETWORK = [
    _try("network", "outside", "import socket", "socket.create_connection(('1.1.1.1', 53), 2)"),
    _try("network", "this machine", "import socket", "socket.socket(socket.AF_INET).bind(('127.0.0.1', 0))"),
    _try(
        "network",
        "unix socket without a file",
        "import socket",
        "s = socket.socket(socket.AF_UNIX)",
        "s.connect('\\0/tmp/.X11-unix/X0')",
    ),
]
TAMPER = [
    Attack("tamper with tests", "equal to everything", EQUAL.format(base="", made="")),
    Attack("tamper with tests", "a number equal to everything", EQUAL.format(base="int", made="0")),
    Attack("tamper with tests", "a text equal to everything", EQUAL.format(base="str", made="'x'")),
    Attack(
        "tamper with tests",
        "builtins",
        "import builtins\nbuiltins.all = lambda x: True\nbuiltins.AssertionError = type('A', (Exception,), {})\ndef double(x):\n    return 0",
    ),
    Attack(
        "tamper with tests", "helper of the instructor", "def helper(x):\n    return 2\ndef double(x):\n    return 0"
    ),
    Attack("tamper with tests", "name of the test", "secret = 0\nmath = None\ndef double(x):\n    return 0"),
    Attack(
        "tamper with tests",
        "input transformer",
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])\ndef double(x):\n    return 0",
        even=None,
    ),
    Attack(
        "tamper with tests",
        "patched shell",
        "ip = get_ipython()\ntype(ip).run_code = lambda *a, **k: False\ndef double(x):\n    return 0",
        even=None,
    ),
    Attack(
        "tamper with tests",
        "patched checks",
        "import lessonlib.checks.core as c\nc.score_properties = lambda *a, **k: 99\ndef double(x):\n    return 0",
    ),
    _call(
        "tamper with tests",
        "looks at the caller",
        "f = sys._getframe(1)\nwhile f:\n    if 'secret' in f.f_globals: return 2 * x\n    f = f.f_back\nreturn 0",
    ),
    _call("tamper with tests", "ends the test's loop", "if type(x) is int: raise StopIteration\nreturn 2 * x"),
    _call("tamper with tests", "a check's own error", "import unittest\nraise unittest.SkipTest('ok')"),
    _call("tamper with tests", "remembers the visible tests", "return {2: 4, -1: -2}.get(x)", double=1.0),
    Attack(
        "tamper with tests",
        "a lookalike of the marker",
        "class Remote:\n    def __eq__(self, o): return True\n    def __call__(self, x): return self\ndouble = Remote()",
    ),
]
FORGE = [
    Attack("forge results", "speaks for the tests", "import os, struct, json\nfor i in range(12):\n    m = json.dumps({'index': i, 'seconds': 'x' * 99, 'error': None, 'outputs': [{'output_type': 'execute_result', 'data': {'text/plain': '1.0'}, 'metadata': {}}]}).encode()\n    os.write(3, struct.pack('>I', len(m)) + m)\ndef double(x):\n    return 0", change=lambda book: _last(book, "import os\n")),
    Attack("forge results", "speaks for the tests afterwards", WRONG, change=lambda book: _last(book, SPEAK)),
    Attack("forge results", "calls it the machine's fault", "import os, struct, json\nm = json.dumps({'fatal': 'no sandbox'}).encode()\nos.write(3, struct.pack('>I', len(m)) + m)\ndef double(x):\n    return 0"),
    Attack("forge results", "writes records to every line", "import os, struct, json\nm = json.dumps({'done': True, 'outputs': [], 'error': None}).encode()\nfor fd in range(3, 20):\n    try:\n        os.write(fd, struct.pack('>I', len(m)) + m)\n    except OSError:\n        pass\ndef double(x):\n    return 0", even=None),
    Attack("forge results", "writes garbage to every line", "import os\nfor fd in range(3, 20):\n    try:\n        os.write(fd, b'\\xff' * 100)\n    except OSError:\n        pass", even=None),
    Attack("forge results", "another codec", "import lessonlib.grading.codec as c\nc.encode = lambda *a, **k: b'cos\\nsystem\\n(S\"touch /tmp/x\"\\ntR.'\ndef double(x):\n    return 0", even=None),
    Attack("forge results", "endless answers", "import lessonlib.grading.codec as c\nc.send = lambda s, d: s.sendall(b'\\x7f\\xff\\xff\\xff' + b'x' * 10**6)\ndef double(x):\n    return 0", even=None),
    Attack("forge results", "prints points", "print('3.0')\n3.0"),
    Attack("forge results", "an output page", "from IPython.display import HTML, Javascript\ndisplay(HTML('<script>alert(1)</script>'), Javascript('alert(1)'))\n" + DOUBLE, double=3.0),
]  # fmt: skip


def _copied_test(book):
    extra = copy.deepcopy(cell_of(book, "double_check"))
    extra["metadata"]["nbgrader"]["points"] = 100
    extra["source"] = "pass"
    book["cells"].insert(0, extra)


def _all_moved(book):
    book["cells"].reverse()


def _no_tests(book):
    book["cells"] = [c for c in book["cells"] if not c["metadata"].get("nbgrader", {}).get("points")]


def _more_points(book):
    for cell in book["cells"]:
        if "nbgrader" in cell["metadata"]:
            cell["metadata"]["nbgrader"] |= {"points": 1000, "grade": True, "solution": True, "locked": False}


def _easy_tests(book):
    cell_of(book, "double_check")["source"] = "1"
    cell_of(book, "double_hidden")["source"] = "2"


def _no_metadata(book):
    for cell in book["cells"]:
        cell["metadata"] = {}
        cell.pop("id", None)


def _test_as_answer(book):
    cell_of(book, "double")["metadata"]["nbgrader"]["grade_id"] = "double_hidden"


STRUCTURE = [
    Attack("notebook structure", "a copied test worth 100", WRONG, change=_copied_test),
    Attack("notebook structure", "all cells in reverse", double=3.0, change=_all_moved),
    Attack("notebook structure", "tests deleted", WRONG, change=_no_tests),
    Attack("notebook structure", "a thousand points", double=3.0, change=_more_points),
    Attack("notebook structure", "easy tests", WRONG, change=_easy_tests),
    Attack("notebook structure", "all metadata lost", double=3.0, change=_no_metadata),
    Attack("notebook structure", "the answer calls itself the test", change=_test_as_answer),
]
LEFTOVERS = [
    Attack("leftovers", "files for the next", "import os\nfor d in ('/tmp', '/box', '/dev/shm', '/var/tmp', '/'):\n    try:\n        open(d + '/left', 'w').write('x')\n    except OSError:\n        pass\n" + DOUBLE, double=3.0),
    _try("leftovers", "files of the one before", "import os", "assert any(os.path.exists(d + '/left') for d in ('/tmp', '/box', '/dev/shm', '/var/tmp', '/'))"),
    Attack("leftovers", "a process in the background", "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(600)\n    os._exit(0)\n" + DOUBLE, double=3.0),
    Attack("leftovers", "a program in the background", "import subprocess\np = subprocess.Popen(['sleep', '600'], start_new_session=True)\n" + DOUBLE, double=3.0),
]  # fmt: skip

ATTACKS = [*HANG, *BOMB, *EXIT, *ESCAPE, *SECRETS, *NETWORK, *TAMPER, *FORGE, *STRUCTURE, *LEFTOVERS]
