"""Walls around processes that run strangers' code: bubblewrap around the fork server, namespaces and limits in each fork.

Two layers. `command` starts the fork server in bubblewrap: it sees the interpreter, the packages, lessonlib and what the
caller names, all read-only, and no network. `enter` runs in each forked child before any submission's code: its own
mount, process, network, ipc and host-name namespaces, empty folders to write in, limits, an unprivileged user id, no
capabilities, and a system-call filter. Linux only; where a piece is missing, `check_machine` says which and how to get it."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ..paths import PACKAGE
from . import seccomp

BOX = "/box"  # the private folder, where notebooks run
PRIVATE = (BOX, "/tmp", "/dev/shm")  # empty folders to write in
DATA = "/data"  # the assignment's own files, read-only; linked into BOX
FIRST_UID = 61184  # to 65519: a range that systemd also keeps for processes without an account
UIDS = 4000

_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 2, 4, 8, 0x1000, 0x4000, 0x40000
_PDEATHSIG, _DUMPABLE, _CAPBSET_DROP, _NO_NEW_PRIVS, _AMBIENT = 1, 4, 24, 38, 47
# What the fork server needs to build namespaces for its children; the children have none of it. (SETFCAP: since Linux 5.12
# a namespace may map its parent's user 0 only when the parent holds it.)
_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in "SYS_ADMIN SETUID SETGID SETPCAP SETFCAP KILL CHOWN DAC_OVERRIDE SYS_PTRACE SYS_RESOURCE".split()
)


@dataclass(frozen=True)
class Walls:
    """Limits of one sandbox. memory: bytes beyond what the fork server has; disk: bytes of all written files."""

    memory: int = 1024 * 2**20
    disk: int = 64 * 2**20
    file: int = 32 * 2**20
    processes: int = 40
    files: int = 256
    cpu: int = 120


@dataclass(frozen=True)
class Finding:
    """One piece that the sandbox needs: is it there, what is the matter, how to get it."""

    name: str
    ok: bool
    says: str
    fix: str = ""


def libc():
    """The C library with errno."""
    return ctypes.CDLL(None, use_errno=True)


def command(inner: list[str], *, visible: list[Path] = (), data: Path | None = None) -> list[str]:
    """The bubblewrap command around `inner`. `visible`: more files and folders to show, read-only, at their own paths;
    `data`: the folder whose contents appear in the private folder."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise RuntimeError("bubblewrap (the program bwrap) is not installed: apt-get install bubblewrap.")
    shown = _readable(visible)
    line = [bwrap, "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if os.geteuid() != 0:
        line += ["--unshare-user", "--uid", "0", "--gid", "0"]
    line += ["--die-with-parent", "--new-session", "--proc", "/proc", "--dev", "/dev"]
    for folder in (
        "/usr",
        "/etc/ld.so.cache",
        "/etc/ld.so.conf.d",
        "/etc/fonts",
        "/etc/localtime",
        "/etc/alternatives",
    ):
        line += ["--ro-bind-try", folder, folder]
    for link in ("bin", "sbin", "lib", "lib64", "lib32"):
        there = Path("/", link)
        if there.is_symlink():
            line += ["--symlink", os.readlink(there), str(there)]
        elif there.is_dir():
            line += ["--ro-bind", str(there), str(there)]
    for folder in PRIVATE:
        line += ["--perms", "0700", "--tmpfs", folder]
    for folder in _parents(shown):  # bubblewrap would make them 0700 when run by root
        line += ["--perms", "0755", "--dir", folder]
    for path in shown:
        line += ["--ro-bind", str(path), str(path)]
    if data is not None:
        line += ["--perms", "0755", "--dir", DATA, "--ro-bind", str(data), DATA]
    # By an ordinary user, server and children are one user to the kernel: nothing that both see may be writable.
    line += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", BOX, "--clearenv"]
    for name, value in environment().items():
        line += ["--setenv", name, value]
    for capability in _CAPABILITIES:
        line += ["--cap-add", capability]
    return [*line, "--", *inner]


def environment() -> dict[str, str]:
    """Environment variables in the sandbox; nothing of the grader's own environment goes in."""
    return {
        # An interpreter may lie where only this variable finds its library; nothing else is passed on.
        **{name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": BOX,
        "USER": "student",
        "LOGNAME": "student",
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join([str(PACKAGE.parent), *(p for p in sys.path if "site-packages" in p)]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "MPLBACKEND": "agg",
        "MPLCONFIGDIR": f"{BOX}/.matplotlib",
        "IPYTHONDIR": f"{BOX}/.ipython",
        "OMP_NUM_THREADS": "1",  # no thread may be alive when the server forks, and lanes share the processor
        "MKL_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TRANSFORMERS_VERBOSITY": "error",
        "CUDA_VISIBLE_DEVICES": "",
        "LESSON_DEVICE": "cpu",
        "LESSON_FACTS": "off",
        "LESSONLIB_PROGRESS": "off",
        "NBGRADER_EXECUTION": "autograde",
    }


def covered(visible: list[Path] = ()) -> list[str]:
    """What is to be seen in spite of the private folders above it, as when the course lies below /tmp."""
    return [str(p) for p in _readable(visible) if any(Path(folder) in p.parents for folder in PRIVATE)]


def _readable(more) -> list[Path]:
    """Interpreter, environment, packages, lessonlib, and `more`; none inside another."""
    paths = [Path(sys.base_prefix), Path(sys.prefix), PACKAGE, *map(Path, more)]
    paths += [Path(p) for p in sys.path if p and "site-packages" in p]
    found = dict.fromkeys(p.absolute() for p in paths if p.exists())
    usr = Path("/usr")
    outer = [p for p in found if not any(o in p.parents for o in found) and p != usr and usr not in p.parents]
    return sorted(outer)


def _parents(paths: list[Path]) -> list[str]:
    return sorted({str(parent) for path in paths for parent in path.parents if str(parent) != "/"})


def new_process_namespace(own: int | None) -> int:
    """In the fork server: let the next fork be process 1 of a namespace of its own. `own` is the value returned by the
    call before (None the first time): one must step back into one's own namespace before making another."""
    c = libc()
    if own is None:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    elif c.setns(own, _NEWPID):
        raise _failed("setns")
    if c.unshare(_NEWPID):
        raise _failed("unshare(CLONE_NEWPID)")
    return own


def enter(walls: Walls, slot: int, real_root: bool, covered: list[str]) -> None:
    """In the forked child: build the walls. Any failure raises, and the caller must then end the process.

    covered: see the function of that name."""
    c = libc()
    if c.unshare(_NEWNS | _NEWNET | _NEWIPC | _NEWUTS):
        raise _failed("unshare")
    _mount(c, None, "/", None, _REC | _PRIVATE)
    uid = FIRST_UID + slot % UIDS if real_root else 65534
    owner = f",uid={uid},gid={uid}" if real_root else ""
    kept = [(os.open(path, os.O_PATH), path) for path in covered]
    for folder, share in zip(PRIVATE, (2, 4, 4), strict=True):
        _mount(
            c, "tmpfs", folder, "tmpfs", _NOSUID | _NODEV, f"size={walls.disk // share},nr_inodes=4k,mode=0700{owner}"
        )
    for fd, path in kept:
        _show(c, fd, path)
    _mount(c, "proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    socket.sethostname("sandbox")
    os.chdir(BOX)
    limits(walls)
    if not real_root:
        # A user namespace of its own, so that the count of processes starts at 0 and none of the server's rights hold.
        if c.unshare(_NEWUSER):
            raise _failed("unshare(CLONE_NEWUSER)")
        for name, text in (("setgroups", "deny"), ("uid_map", "65534 0 1"), ("gid_map", "65534 0 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    for capability in range(64):
        c.prctl(_CAPBSET_DROP, capability, 0, 0, 0)  # fails with EINVAL beyond the last
    c.prctl(_AMBIENT, 4, 0, 0, 0)
    if real_root:  # a namespace's root is exempt from RLIMIT_NPROC when it maps to the real one: leave it for real
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    _drop_capabilities(c)
    lock(c)
    for name in os.listdir(DATA) if os.path.isdir(DATA) else ():
        os.symlink(f"{DATA}/{name}", f"{BOX}/{name}")


def _show(c, fd: int, path: str) -> None:
    """Mount what `fd` stands for, with the flags it has, at `path` in a folder that covers it."""
    for parent in reversed(Path(path).parents):
        if not parent.exists():
            parent.mkdir(mode=0o755)
    if os.path.isdir(f"/proc/self/fd/{fd}"):
        os.mkdir(path)
    else:
        open(path, "x").close()
    _mount(c, f"/proc/self/fd/{fd}", path, None, _BIND | _REC)
    os.close(fd)


def limits(walls: Walls) -> None:
    """Set the resource limits of this process and of what it starts."""
    for name, value in (
        ("RLIMIT_CPU", walls.cpu),
        ("RLIMIT_FSIZE", walls.file),
        ("RLIMIT_NOFILE", walls.files),
        ("RLIMIT_NPROC", walls.processes),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_MEMLOCK", 0),
        ("RLIMIT_STACK", 16 * 2**20),
        # Not RLIMIT_AS: torch reserves address space by the gigabyte. DATA counts private writable memory.
        ("RLIMIT_DATA", _data_size() + walls.memory),
    ):
        if hasattr(resource, name):
            resource.setrlimit(getattr(resource, name), (value, value))
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")  # when the whole machine is short of memory, this goes first
    except OSError:
        if sys.platform == "linux":
            raise


def lock(c) -> None:
    """No new privileges, end with the server, system-call filter; the last step, also without a sandbox on Linux."""
    c.prctl(_DUMPABLE, 1, 0, 0, 0)  # changing the user id cleared it, and /proc/self would belong to root
    if c.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise _failed("no_new_privs")
    c.prctl(_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)  # changing the user id cleared this too
    seccomp.install(c)


def _drop_capabilities(c) -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    if c.capset(header, (ctypes.c_uint32 * 6)()):
        raise _failed("capset")


def _data_size() -> int:
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmData"))
    except (OSError, StopIteration):
        return 2**30


def _mount(c, source, target: str, kind, flags: int, options: str = "") -> None:
    bits = [None if v is None else v.encode() for v in (source, target, kind)]
    if c.mount(bits[0], bits[1], bits[2], ctypes.c_ulong(flags), options.encode() or None):
        raise _failed(f"mounting {target}")


def _failed(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def check_machine() -> list[Finding]:
    """What the sandbox needs, piece by piece; the last finding is a trial run."""
    found = requirements()
    return [*found, _trial()] if all(f.ok for f in found) else found


def requirements() -> list[Finding]:
    """What can be looked up without a trial run."""
    linux = sys.platform == "linux"
    found = [
        Finding(
            "operating system",
            linux,
            f"{platform.system()} {platform.release()}",
            "" if linux else "grade on Linux: a virtual machine, a container that may make namespaces, or WSL 2",
        ),
        Finding(
            "processor",
            platform.machine() in seccomp.MACHINES,
            platform.machine(),
            ""
            if platform.machine() in seccomp.MACHINES
            else "use x86-64 or arm64: there is no system-call filter for others",
        ),
    ]
    bwrap = shutil.which("bwrap")
    found.append(
        Finding(
            "bubblewrap",
            bwrap is not None,
            bwrap or "the program bwrap is not on PATH",
            "" if bwrap else "apt-get install bubblewrap (dnf install bubblewrap; pacman -S bubblewrap)",
        )
    )
    return found


def _trial() -> Finding:
    """Whether bubblewrap can make the namespaces here."""
    done = subprocess.run(
        command([sys.executable, "-c", "import os; os.listdir('/proc/self'); print('in')"]),
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.returncode == 0 and done.stdout.strip() == "in":
        return Finding("namespaces", True, "bubblewrap starts a sandbox here")
    reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return Finding("namespaces", False, f"bubblewrap cannot make a sandbox here: {reason}", _namespace_fix())


def _namespace_fix() -> str:
    for name, value, fix in (
        ("user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
        ("kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1", "sysctl kernel.apparmor_restrict_unprivileged_userns=0"),
    ):
        try:
            if Path("/proc/sys", name).read_text(encoding="ascii").strip() == value:
                return f"an administrator runs: {fix}"
        except OSError:
            continue
    return "in a container, allow namespaces (docker run --cap-add SYS_ADMIN --security-opt seccomp=unconfined ...)"
