"""`python3 -m lessonlib COMMAND`: the one entry of the course. Needs nothing but Python: it sets up the rest.

This file and `lessonlib/__init__.py` keep to syntax that old Pythons read, so that they can say what is wrong."""

import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "lessonlib needs Python 3.11 or newer, and this is Python %d.%d: install a newer one and start with it, "
        "for example python3.12 -m lessonlib lab.\n" % sys.version_info[:2]
    )
    sys.exit(2)

from lessonlib.environment import SetupError, run_in_environment  # noqa: E402 (after the check of the version)

if __name__ == "__main__":
    try:
        sys.exit(run_in_environment(sys.argv[1:]))
    except SetupError as error:
        sys.stderr.write("lessonlib: %s\n" % error)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
