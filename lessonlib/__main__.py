"""`python3 -m lessonlib COMMAND`: the one entry of the course. Needs nothing but Python: it sets up the rest.

This file and `lessonlib/__init__.py` keep to syntax that old Pythons read, so that they can say what is wrong."""

import sys


def newer_python():
    """The name of a Python on the path that is new enough, or an example."""
    try:
        from shutil import which
    except ImportError:  # Python 2
        return "python3.12"
    return next((name for name in ("python3.13", "python3.12", "python3.11") if which(name)), "python3.12")


if sys.version_info < (3, 11):
    sys.stderr.write(
        "lessonlib: this is Python %d.%d, and the course needs 3.11 or newer: start it with such a one, "
        "for example %s -m lessonlib lab.\n" % (sys.version_info[0], sys.version_info[1], newer_python())
    )
    sys.exit(2)

from lessonlib.environment import run_in_environment  # noqa: E402 (after the check of the version)
from lessonlib.packages import SetupError  # noqa: E402

if __name__ == "__main__":
    try:
        sys.exit(run_in_environment(sys.argv[1:]))
    except SetupError as error:
        sys.stderr.write("lessonlib: %s\n" % error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write("\nlessonlib: stopped.\n")
        sys.exit(130)
