"""A system-call filter (classic BPF) for processes that run strangers' code: what they have no business with is refused.

A list of what is forbidden, not of what is allowed: Python and torch use some hundred calls that differ from one libc to
the next. Files, processes and the network are already shut off by namespaces and by the user id; the filter keeps the
kernel's less travelled parts, and ways around the memory limit, out of reach. Refused calls fail with EPERM."""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

# Call numbers, (x86-64, arm64); None where the machine does not have the call. From the kernel's syscall tables.
CALLS = {
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440),
    "unshare": (272, 97),
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "syslog": (103, 116),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "vhangup": (153, 58),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "personality": (135, 92),
    "fanotify_init": (300, 262),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "uselib": (134, None),
    "seccomp": (317, 277),
    # Memory that RLIMIT_DATA does not count, and queues that outlive a process.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
}
CHECKED = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "mmap": (9, 222),
    "ioctl": (16, 29),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column above, AUDIT_ARCH_*

_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEWNS ... CLONE_NEWNET, CLONE_NEWTIME
_SHARED_ANONYMOUS = 0x21  # MAP_SHARED | MAP_ANONYMOUS
_GROWS_DOWN = 0x100  # MAP_GROWSDOWN: such memory counts as a stack, not as data
_AF_UNIX = 1
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # ways to type into someone else's terminal

_LOAD, _EQUAL, _GREATER, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000


def _refuse(code: int) -> int:
    return 0x00050000 | code


def program(machine: str | None = None) -> bytes:
    """The filter for `machine` (default: this one) as struct sock_filter[]; ValueError where there is no table."""
    machine = machine or platform.machine()
    if machine not in MACHINES:
        raise ValueError(f"There is no system-call filter for {machine!r}; there are {', '.join(MACHINES)}.")
    column, arch = MACHINES[machine]
    code: list[tuple[int, int, int, int]] = []

    def argument(number: int, high: bool = False) -> tuple:
        return (_LOAD, 0, 0, 16 + 8 * number + (4 if high else 0))  # both machines are little-endian

    code += [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, arch), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    if machine == "x86_64":  # the x32 numbers would walk around the table
        code += [(_GREATER, 0, 1, 0x40000000), (_RETURN, 0, 0, _refuse(errno.ENOSYS))]
    for numbers in CALLS.values():
        if numbers[column] is not None:
            code += [(_EQUAL, 0, 1, numbers[column]), (_RETURN, 0, 0, _refuse(errno.EPERM))]
    number = {name: numbers[column] for name, numbers in CHECKED.items()}
    # The flags of clone3 lie in memory that a filter cannot read: without it, the C library uses clone.
    code += [(_EQUAL, 0, 1, number["clone3"]), (_RETURN, 0, 0, _refuse(errno.ENOSYS))]
    code += _when(
        number["clone"],
        [argument(0), (_AND, 0, 0, _NAMESPACES), (_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _refuse(errno.EPERM))],
    )
    for name in ("socket", "socketpair"):
        code += _when(number[name], [argument(0), (_EQUAL, 1, 0, _AF_UNIX), (_RETURN, 0, 0, _refuse(errno.EACCES))])
    shared = [argument(3), (_AND, 0, 0, _SHARED_ANONYMOUS), (_EQUAL, 3, 0, _SHARED_ANONYMOUS)]
    stack = [argument(3), (_AND, 0, 0, _GROWS_DOWN), (_EQUAL, 1, 0, 0)]
    code += _when(number["mmap"], [*shared, *stack, (_RETURN, 0, 0, _refuse(errno.ENOMEM))])
    typed = [argument(1), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX), (_RETURN, 0, 0, _refuse(errno.EPERM))]
    code += _when(number["ioctl"], typed)
    code.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _when(number: int, body: list) -> list:
    """Run `body` for one call; what it does not refuse is allowed."""
    return [(_EQUAL, 0, len(body) + 1, number), *body, (_RETURN, 0, 0, _ALLOW)]


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def install(libc) -> None:
    """Filter this process and all it starts, for good; needs no_new_privs. OSError when the kernel has no filters."""
    data = program()
    buffer = ctypes.create_string_buffer(data, len(data))
    made = _Program(len(data) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    set_seccomp, mode_filter = 22, 2
    if libc.prctl(set_seccomp, mode_filter, ctypes.byref(made), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel did not take the system-call filter")
