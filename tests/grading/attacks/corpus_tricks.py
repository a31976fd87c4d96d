# ruff: noqa: E501  (an attack is easier to read on one line)
"""Still more of the corpus: ways out, secrets, the network, tests that are deceived, and answers that are forged."""

from __future__ import annotations

from .assignment import DOUBLE, SECRET
from .corpus import WRONG, Attack, _call, _last, _try

# numbers of x86-64; on another machine these calls are others, and refused or harmless as well
RAW = "import ctypes, os\nc = ctypes.CDLL(None, use_errno=True)\n"


def _raw(name: str, call: str, *arguments) -> Attack:
    given = ", ".join(map(str, arguments))
    made = _try(
        "escape", name, f"assert c.syscall({call}, {given}) >= 0" if given else f"assert c.syscall({call}) >= 0"
    )
    return Attack("escape", name, RAW + made.code)


ESCAPE = [
    _raw("user faults", 323, 0),
    _raw("asynchronous rings", 425, 8, "ctypes.create_string_buffer(200)"),
    _raw("programs in the kernel", 321, 5, "ctypes.create_string_buffer(128)", 128),
    _raw("performance counters", 298, "ctypes.create_string_buffer(128)", 0, -1, -1, 0),
    _raw("a key ring", 250, 1, 0),
    _raw("a call by its other number", "0x40000000 + 101", 16, 1, 0, 0),
    _raw("a new mount", 428, -100, "b'/'", 1),
    _raw("memory of process 1", 310, 1, 0, 1, 0, 1, 0),
    _raw("clone with namespaces", 56, "0x10000000 | 17", 0, 0, 0, 0),
    _try("escape", "change the root", "import os", "os.chroot('/tmp')"),
    _try("escape", "make a device", "import os, stat", "os.mknod('/tmp/mem', 0o666 | stat.S_IFCHR, os.makedev(1, 1))", "open('/tmp/mem', 'rb').read(1)"),
    _try("escape", "the kernel's settings", "open('/proc/sys/kernel/core_pattern', 'wb', 0).write(b'|/tmp/x')"),
    _try("escape", "the magic key", "open('/proc/sysrq-trigger', 'wb', 0).write(b'?')"),
    _try("escape", "a setuid program", "import subprocess, shutil", "done = [subprocess.run([p, '-c', 'id -u'], capture_output=True, text=True).stdout for p in map(shutil.which, ('su', 'sudo', 'pkexec')) if p]", "assert any(d.strip() == '0' for d in done)"),
    _try("escape", "last in the queue for memory", "open('/proc/self/oom_score_adj', 'wb', 0).write(b'-1000')"),
    _try("escape", "first in the queue for the processor", "import os", "os.nice(-10)"),
    _try("escape", "into the cgroup", "import glob", "f = [*glob.glob('/sys/fs/cgroup/**/cgroup.procs', recursive=True)][0]", "open(f, 'wb', 0).write(b'1')"),
    _try("escape", "the folder behind the folder", "import os", "fds = [int(f) for f in os.listdir('/proc/self/fd')]", "assert [f for f in fds if f > 4 and os.path.exists(f'/proc/self/fd/{f}') and os.path.isdir(f'/proc/self/fd/{f}/..') and not os.readlink(f'/proc/self/fd/{f}').startswith('/proc')]"),
    _try("escape", "remount for writing", "import ctypes", "assert ctypes.CDLL(None).mount(b'none', b'/', None, 0x20 | 0x1000, None) == 0"),
    _try("escape", "a link out of the folder", "import os", "os.symlink('/etc', '/box/link')", "open('/box/link/passwd', 'a')"),
]  # fmt: skip
SECRETS = [
    _try("read secrets", "keys of the account", "import pathlib, os", "assert [p for h in ('/root', '/home', os.path.expanduser('~')) for n in ('.ssh', '.aws', '.netrc', '.git-credentials', '.config') for p in pathlib.Path(h).glob(f'**/{n}') if '/.pyenv/' not in str(p)]"),
    _try("read secrets", "tests among the objects", "import gc", f"want = 'secret = ' + str({SECRET // 7} * 7 + {SECRET % 7})", "assert any(type(o) is str and want in o and 'want' not in o for o in gc.get_objects()) or any(type(v) is str and want in v and 'want' not in v for o in gc.get_objects() if type(o) is dict for v in list(o.values()))"),
    _try("read secrets", "tests in the frames", "import sys", f"want = {SECRET // 7} * 7 + {SECRET % 7}", "f = sys._getframe()", "hit = False", "while f:", "    hit = hit or any(type(v) is int and v == want for k, v in [*f.f_locals.items(), *f.f_globals.items()] if k != 'want')", "    f = f.f_back", "assert hit"),
    _try("read secrets", "tests in the code that was compiled", "import linecache", f"want = str({SECRET // 7} * 7 + {SECRET % 7})", "assert any(want in line for e in linecache.cache.values() for line in e[2] if 'want' not in line)"),
    _try("read secrets", "history of the shell", "h = list(get_ipython().history_manager.get_range(raw=True))", "assert any('BEGIN HIDDEN' in x[2] and 'any(' not in x[2] for x in h)"),
    _try("read secrets", "instructor's notebook and wrong answers", "import os", "hit = []", "for t in ('/', '/box/..', '/data', '/srv', '/home', '/root'):", "    for d, s, f in os.walk(t):", "        s[:] = [x for x in s if x not in ('proc', 'usr', 'lib', '.pyenv', '.venv', 'site-packages', 'node_modules', 'sys')]", "        hit += [x for x in f if x == 'wrong_answers.py' or (x.endswith('.ipynb'))]", "assert hit"),
    _try("read secrets", "memory of another process", "open('/proc/1/mem', 'rb', 0)", "import os", "assert os.getpid() != 1"),
    _try("read secrets", "what the kernel logs", "assert open('/dev/kmsg').read(10)"),
    _try("read secrets", "files of the other students", "import pathlib", "assert [p for t in (pathlib.Path.cwd(), *pathlib.Path.cwd().parents) for p in t.glob('*/other*/*/*')]"),
    _try("read secrets", "the seed of the tests", "import random, os", "assert random.getstate()[1][0] != 0x80000000 and os.getpid() != 1"),
    _call("read secrets", "hands on what it was asked", "open('/tmp/asked', 'a').write(repr(x) + '\\n')\nprint(open('/tmp/asked').read())\nreturn 0"),
]  # fmt: skip
NETWORK = [
    _try("network", "a question to the name server", "import socket", "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)", "s.sendto(b'x', ('8.8.8.8', 53))"),
    _try("network", "the kernel's own line", "import socket", "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)"),
    _try("network", "the host of a virtual machine", "import socket", "socket.socket(40, socket.SOCK_STREAM)"),
    _try("network", "IPv6", "import socket", "s = socket.socket(socket.AF_INET6)", "s.bind(('::1', 0))"),
    _try("network", "a program that fetches", "import subprocess", "import sys", "subprocess.run([sys.executable, '-c', 'import socket; s = socket.socket(); s.settimeout(2); s.connect((\"127.0.0.1\", 8888))'], check=True, timeout=5)"),
    _try("network", "the container's control socket", "import socket, glob", "s = socket.socket(socket.AF_UNIX)", "s.connect((glob.glob('/var/run/docker.sock') + glob.glob('/run/dbus/*') + glob.glob('/run/**/*.sock', recursive=True))[0])"),
    _try("network", "listens for others", "import socket", "s = socket.socket()", "s.bind(('0.0.0.0', 0))", "s.listen()"),
]  # fmt: skip
TAMPER = [
    Attack("tamper with tests", "import hook", "import builtins\nold = builtins.__import__\nbuiltins.__import__ = lambda *a, **k: old('math')\ndef double(x):\n    return 0", even=None),
    Attack("tamper with tests", "class builder", "import builtins\nbuiltins.isinstance = lambda *a: True\nbuiltins.range = lambda *a: []\nbuiltins.sum = lambda *a: 99\ndef double(x):\n    return 0", even=None),
    Attack("tamper with tests", "tracing", "import sys\ndef trace(f, e, a):\n    f.f_trace_opcodes = True\n    return trace\nsys.settrace(trace)\ndef double(x):\n    return 0", even=None),
    Attack("tamper with tests", "assertions switched off", "import sys, os, ast\nos.environ['PYTHONOPTIMIZE'] = '2'\nget_ipython().ast_transformers.append(type('T', (ast.NodeTransformer,), {'visit_Assert': lambda s, n: ast.Pass()})())\ndef double(x):\n    return 0"),
    Attack("tamper with tests", "hooks of the shell", "ip = get_ipython()\nip.events.register('pre_run_cell', lambda *a: ip.user_ns.update(double=lambda x: 2 * x))\nip.set_custom_exc((Exception,), lambda *a, **k: None)\nip.showtraceback = lambda *a, **k: None\ndef double(x):\n    return 0"),
    Attack("tamper with tests", "its own run_cell", "import IPython.core.interactiveshell as i\ni.InteractiveShell.run_cell = lambda *a, **k: i.ExecutionResult(None)\ndef double(x):\n    return 0", even=None),
    Attack("tamper with tests", "a number that is not one", "class N(float):\n    def __eq__(s, o): return True\n    def __ne__(s, o): return False\n    __hash__ = float.__hash__\ndef double(x):\n    return N('nan')"),
    Attack("tamper with tests", "a list equal to everything", "class L(list):\n    def __eq__(s, o): return True\ndef double(x):\n    return L()"),
    Attack("tamper with tests", "a class that says it is another", "class C:\n    __class__ = int\n    def __eq__(s, o): return True\n    def __index__(s): return 4\n    def __int__(s): return 4\ndef double(x):\n    return C()"),
    Attack("tamper with tests", "mock's anything", "from unittest.mock import ANY, MagicMock\ndef double(x):\n    return ANY"),
    Attack("tamper with tests", "mock objects", "from unittest.mock import MagicMock\nm = MagicMock()\nm.__eq__ = lambda *a: True\ndouble = MagicMock(return_value=m)"),
    Attack("tamper with tests", "changes what it was given", "def double(x):\n    if isinstance(x, list):\n        x.clear()\n    return x"),
    Attack("tamper with tests", "a secret that answers for itself", "class S:\n    def __getattr__(s, n): return lambda *a, **k: True\n    def __call__(s, x): return s\n    def __eq__(s, o): return True\ndouble = S()"),
    Attack("tamper with tests", "prints that the tests passed", "print('All tests passed!')\nget_ipython().run_cell('1 + 1')\ndef double(x):\n    print('ok')\n    return 0"),
    Attack("tamper with tests", "the standard library", "import math, operator, functools, json, re\nfor m in (math, operator, functools):\n    for n in dir(m):\n        if not n.startswith('_') and callable(getattr(m, n)):\n            try:\n                setattr(m, n, lambda *a, **k: True)\n            except Exception:\n                pass\ndef double(x):\n    return 0", even=None),
    Attack("tamper with tests", "the checks' own files", "import pathlib, lessonlib\np = pathlib.Path('lessonlib')\np.mkdir(exist_ok=True)\n(p / '__init__.py').write_text('')\npathlib.Path('math.py').write_text('1/0')\npathlib.Path('sitecustomize.py').write_text('1/0')\ndef double(x):\n    return 0"),
    Attack("tamper with tests", "a name that tests use later", "helper = all = range = AssertionError = lambda *a: 2\ndef double(x):\n    return 0", even=None),
]  # fmt: skip


def _answers(name: str, data: str, more: str = "") -> Attack:
    """The submission's side of the line to the tests answers with `data`, an expression of the question's number `n`."""
    code = (
        "import lessonlib.grading.student as s, lessonlib.grading.codec as c\n"
        "old = s._answer\n"
        "def number(d):\n    try:\n        return c.decode(d, table=[], numbering=True, remote=lambda *a: a)[0]\n    except Exception:\n        return 1\n"
        f"{more}\ndef forged(shell, objects, d):\n    n = number(d)\n    return old(shell, objects, d) if n == 1 else {data}\n"
        f"s._answer = forged\ndef double(x):\n    return 0"
    )
    return Attack("forge results", name, code, even=None)


FORGE = [
    _answers("answers nothing that is known", "b'\\x00' * 20"),
    _answers("answers with no state", "c.encode((n,))"),
    _answers("answers with a strange state", "c.encode((n, True, 4, [], []))"),
    _answers("answers a handle that nobody gave", "c.encode((n, 'ok', 4, [], [])).replace(b'', b'')[:-1] + b'z'"),
    _answers("answers with a negative handle", "c.encode((n, 'ok', object(), [], []), other=lambda o: (-1, 'object', 'int', 'x'))"),
    _answers("answers with an error of no class", "c.encode((n, 'error', ('builtins', 'print', 'print', ('x',), []), [], []))"),
    _answers("answers with an error that is a function", "c.encode((n, 'error', ('os', 'system', 'exec', ('touch /tmp/x',), []), [], []))"),
    _answers("answers with a test's own end", "c.encode((n, 'error', ('builtins', 'StopIteration', 'StopIteration', (), []), [], []))"),
    _answers("answers with the end of the shell", "c.encode((n, 'error', ('builtins', 'SystemExit', 'SystemExit', (0,), []), [], []))"),
    _answers("answers with a timeout", "c.encode((n, 'error', ('builtins', 'CellTimeoutError', 'Exception', ('x',), []), [], []))"),
    _answers("answers with changes of what is not there", "c.encode((n, 'ok', 0, [(99, [1])], []))"),
    _answers("answers with changes of another type", "c.encode((n, 'ok', 0, [(0, {}), (1, b'x')], []))"),
    _answers("answers what the tests print", "c.encode((n, 'ok', 0, [], [('stdout', '3.0'), ('display', '3.0')] * 1000))"),
    _answers("answers with an object to print", "c.encode((n, 'ok', 0, [], [('stdout', object())]), other=lambda o: (0, 'object', 'x', 'x'))"),
    _answers("answers for another question", "b''.join([c.encode((n + 5, 'ok', 4, [], []))])"),
    _answers("answers with a type of the library", "c.encode((n, 'ok', 0, [], [])).replace(b'i\\x00\\x00\\x00\\x01\\x00', b'x' + b's\\x00\\x00\\x00\\x09os.system' + c.encode(('true',)), 1)"),
    _answers("answers with a class of the grader", "c.encode((n, 'ok', Fake(1), [], []))", "import dataclasses\n@dataclasses.dataclass\nclass Fake:\n    value: int\nFake.__module__ = 'lessonlib.grading.changes'\nFake.__qualname__ = 'Inline'"),
    _answers("never answers", "__import__('time').sleep(100)"),
    Attack("forge results", "answers twice", "import os, struct\nimport lessonlib.grading.codec as c\nfor n in range(1, 60):\n    m = c.encode((n, 'ok', 4, [], []))\n    os.write(4, struct.pack('>I', len(m)) + m)\ndef double(x):\n    return 0", even=None),
    Attack("forge results", "a flood of small messages", "import os, struct\nm = (struct.pack('>I', 2) + b'{}') * 20000\nwhile True:\n    os.write(3, m)", even=None),
    Attack("forge results", "deep messages", "import os, struct\nm = b'[' * 10**6\nos.write(3, struct.pack('>I', len(m)) + m)\nm = b'{\"index\": ' + b'9' * 10**6 + b'}'\nos.write(3, struct.pack('>I', len(m)) + m)", even=None),
    Attack("forge results", "a file descriptor over the line", "import socket, os\ns = socket.socket(fileno=os.dup(3))\nfor i in range(50):\n    socket.send_fds(s, [b'\\x00\\x00\\x00\\x02{}'], [0, 1, 2])\nv = socket.socket(fileno=os.dup(4))\nsocket.send_fds(v, [b'x'], [0])\ndef double(x):\n    return 0", even=None),
    Attack("forge results", "half a message", "import os\nos.write(3, b'\\x00\\x00\\x10\\x00{')\nos.write(4, b'\\x00\\x00\\x10\\x00N')\ndef double(x):\n    return 0", even=None),
    Attack("forge results", "closes half of its line", "import socket, os\nsocket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RD)\nsocket.socket(fileno=os.dup(4)).shutdown(socket.SHUT_WR)\ndef double(x):\n    return 0", even=None),
    Attack("forge results", "writes a report", "import json, pathlib\nfor n in ('record.json', 'report.json', 'nb.ipynb', 'small.ipynb', 'timestamp.txt'):\n    pathlib.Path(n).write_text(json.dumps({'score': 99, 'status': 'graded'}))\ndef double(x):\n    return 0"),
    Attack("forge results", "speaks while the tests run", WRONG, change=lambda book: _last(book, "import threading, os, struct, json\ndef speak():\n    m = json.dumps({'index': 3, 'outputs': [], 'error': None, 'seconds': 0.1}).encode()\n    while True:\n        os.write(3, struct.pack('>I', len(m)) + m)\nthreading.Thread(target=speak, daemon=True).start()")),
]  # fmt: skip
LEFTOVERS = [
    Attack("leftovers", "at the end of the process", "import atexit, time\natexit.register(time.sleep, 600)\n" + DOUBLE, double=3.0),
    Attack("leftovers", "a service in the background", "import subprocess\nsubprocess.Popen('nohup setsid sh -c \"trap : TERM HUP INT; sleep 600\" >/dev/null 2>&1 &', shell=True)\n" + DOUBLE, double=3.0),
    Attack("leftovers", "a thread that goes on", "import threading, time\nthreading.Thread(target=lambda: time.sleep(600)).start()\n" + DOUBLE, double=3.0),
    Attack("leftovers", "a compiled file for the next", "import pathlib, sys\nfor p in sys.path:\n    try:\n        (pathlib.Path(p) / 'usercustomize.py').write_text('print(1)')\n    except OSError:\n        pass\n" + DOUBLE, double=3.0),
    Attack("leftovers", "settings for the next", "import pathlib\nfor n in ('.ipython/profile_default/startup', '.config/matplotlib', '.jupyter'):\n    p = pathlib.Path.home() / n\n    try:\n        p.mkdir(parents=True, exist_ok=True)\n        (p / '00.py').write_text('1/0')\n    except OSError:\n        pass\n" + DOUBLE, double=3.0),
]  # fmt: skip
