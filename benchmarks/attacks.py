"""Run every attack of tests/grading/attacks on `lessonlib grade` and on stock nbgrader, and write the table of outcomes.

    python benchmarks/attacks.py                              ours once, stock once: benchmarks/results/attacks.json, docs/attacks.md
    python benchmarks/attacks.py --repeats 20 --user both --no-stock
    python benchmarks/attacks.py --only "read secrets"        some of them, printed and not recorded

Ours is the command as it is typed: one class in which every student attacks, and two honest ones among them. Its outcome of an
attack is safe when both exercises have the points that they must have, the page of the graded notebook runs nothing, the
machine is not blamed, and time is kept; of the whole run, when the gradebook holds the same points as the records, no file of
the course was changed, and no process is left. Stock runs each attack in a box of its own, see grading_boxes.py; its outcome is
safe by the same measure, and when the other students were graded. Needs Linux, bubblewrap and, for stock and for
`--user both`, root."""

from __future__ import annotations

import argparse
import ctypes
import datetime
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import count
from pathlib import Path
from threading import local

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
RESULT, PAGE = ROOT / "benchmarks" / "results" / "attacks.json", ROOT / "docs" / "attacks.md"
CELL, TOTAL, MEMORY = 1, 10, 300  # seconds of a cell, of a submission; MB
NOBODY, PR_SET_CHILD_SUBREAPER = 65534, 36


def main(argv: list[str]) -> int:
    """Run the command; returns the exit status: 1 when an outcome of ours was not safe."""
    parser = argparse.ArgumentParser(description="Run hostile submissions on lessonlib grade and on stock nbgrader.")
    parser.add_argument("--repeats", type=int, default=1, help="runs of the whole corpus on ours (default: 1)")
    parser.add_argument("--user", choices=["own", "nobody", "both"], default="own", help="who runs ours (default: own)")
    parser.add_argument("--no-stock", action="store_true", help="keep what the record says of stock")
    parser.add_argument("--no-ours", action="store_true", help="keep what the record says of ours")
    parser.add_argument("--only", default="", help="attacks whose 'group: name' holds this text; nothing is recorded")
    parser.add_argument("--slots", type=int, choices=[1, 2], default=2, help="boxes of stock at a time (default: 2)")
    parser.add_argument("--journal", type=Path, help="stock's outcomes go there as they come, and what is there stays")
    parser.add_argument("--out", type=Path, default=RESULT, help="the record to write")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write the table into")
    options = parser.parse_args(argv)
    if (options.user != "own" or not options.no_stock) and os.geteuid() != 0:
        parser.error("only root can become another user and box stock in: give --user own --no-stock")
    from grading_attack_table import metrics, rows, write_page

    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    chosen = [case for case in cases() if options.only in f"{case['group']}: {case['name']}"]
    if not chosen:
        parser.error(f"no attack's name holds {options.only!r}")
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() and not options.only else {}
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        made = Path(scratch, "made")
        template = make_course(Path(scratch, "template"))
        for number, case in enumerate(chosen):
            (made / str(number)).mkdir(parents=True)
            case["folder"] = made / str(number)
        found = {key: kept.get(key) for key in ("ours", "repeats", "stock", "versions")}
        if not options.no_ours:
            found["ours"], found["repeats"] = ours(chosen, template, Path(scratch), options)
        if not options.no_stock:
            found["stock"] = stock(chosen, template, Path(scratch), options.slots, options.journal)
    record = describe() | {key: value for key, value in found.items() if value is not None}
    record["attacks"] = [{key: case[key] for key in ("group", "name", "safe")} for case in chosen]
    record["metrics"] = metrics(record)
    if options.only:
        for row in rows(record):
            print(" | ".join(row))
    else:
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        write_page(record, options.page)
    print(json.dumps({name: entry["median"] for name, entry in record["metrics"].items()}))
    return 1 if record["metrics"].get("ours_unsafe", {}).get("median") else 0


def cases() -> list[dict]:
    """The corpus: {"group", "name", "safe": the safe outcome in words, "double", "even": points, "fill": what fills a
    student's folder, "attack"}."""
    from tests.grading.attacks import ATTACKS
    from tests.grading.attacks.folders import FOLDERS, NAME

    made = []
    for attack in ATTACKS:

        def fill(folder: Path, attack=attack) -> None:
            (folder / NAME).write_text(json.dumps(complete(attack.notebook())), encoding="utf-8")

        made.append({"attack": attack, "double": attack.double, "even": attack.even, "fill": fill})
    made += [{"attack": a, "double": a.earned[0], "even": a.earned[1], "fill": a.make} for a in FOLDERS]
    for case in made:
        case |= {
            "group": case["attack"].group,
            "name": case["attack"].name,
            "safe": _safe(case["double"], case["even"]),
        }
    return made


def _safe(double, even) -> str:
    first = "any points for it" if double is None else f"{double:g} of 3 points"
    second = (
        "the other exercise may be lost with the process" if even is None else f"{even:g} of 4 for the other exercise"
    )
    return f"{first}, {second}"


def make_course(root: Path) -> Path:
    """A course with the small assignment and the honest students; the folder comes back."""
    from grading_boxes import HONEST

    from tests.grading.attacks.assignment import instructor, submission
    from tests.grading.attacks.folders import NAME

    book = complete(instructor())
    book["metadata"] = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    (root / "source" / "hw").mkdir(parents=True)
    (root / "source" / "hw" / NAME).write_text(json.dumps(book), encoding="utf-8")
    config = f"c = get_config()\nc.Execute.timeout = {CELL}\nc.CourseDirectory.course_id = 'attacked'\n"
    (root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    make = [sys.executable, "-m", "nbgrader", "generate_assignment", "hw"]
    subprocess.run(make, cwd=root, env=environment(), check=True, capture_output=True)
    for student in HONEST:
        place = root / "submitted" / student / "hw"
        place.mkdir(parents=True)
        (place / NAME).write_text(json.dumps(complete(submission())), encoding="utf-8")
    return root


def complete(book: dict) -> dict:
    """The notebook with all the metadata that nbgrader's newest form has, where a cell has some."""
    for cell in book["cells"]:
        about = cell["metadata"].get("nbgrader") if isinstance(cell["metadata"], dict) else None
        if isinstance(about, dict):
            cell["metadata"]["nbgrader"] = {"schema_version": 3, "locked": False, "task": False, **about}
    return book


def environment() -> dict:
    """The environment of the commands; the secret stands for whatever a grader's own holds."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "GRADER_SECRET": "SECRET", "OMP_NUM_THREADS": "1"}


def ours(chosen: list[dict], template: Path, scratch: Path, options) -> tuple[list, dict]:
    """([what was not safe in each attack, over all runs], {user: {"runs", "unsafe", "left": processes}})."""
    troubles: list[list[str]] = [[] for _ in chosen]
    users = {"own": [None], "nobody": [NOBODY], "both": [None, NOBODY]}[options.user]
    counted = {}
    for uid in users:
        who = "root" if (uid or os.geteuid()) == 0 else "an ordinary user"
        about = counted[who] = {"runs": 0, "unsafe": 0, "left": 0, "cases": len(chosen)}
        for number in range(options.repeats):
            print(f"{who}: run {number + 1} of {options.repeats}", file=sys.stderr, flush=True)
            found, left = one_run(chosen, template, scratch, uid)
            about["runs"] += 1
            about["unsafe"] += sum(map(bool, found))
            about["left"] += len(left)
            for case, sentences, all_of_it in zip(chosen, found, troubles, strict=True):
                for sentence in sentences:
                    print(f"  NOT SAFE {case['group']}: {case['name']}: {sentence}", file=sys.stderr, flush=True)
                    all_of_it.append(f"as {who}: {sentence}")
            for process in left:
                print(f"  LEFT {process}", file=sys.stderr, flush=True)
    return [list(dict.fromkeys(t)) for t in troubles], counted


def one_run(chosen: list[dict], template: Path, scratch: Path, uid: int | None) -> tuple[list, list]:
    """([sentences on what was not safe] for each attack, processes that are left) of one class graded by the command."""
    from grading_boxes import HONEST

    root = Path(shutil.copytree(template, scratch / "run", symlinks=True))
    for number, case in enumerate(chosen):
        folder = root / "submitted" / f"m{number:04}" / "hw"
        folder.mkdir(parents=True)
        case["fill"](folder)
    before = marks(root)
    if uid is not None:
        subprocess.run(["chown", "-hR", f"{uid}:{uid}", str(root)], check=True)
    grade = [sys.executable, "-m", "lessonlib", "grade", "autograde", "hw", "--course", str(root), "--json"]
    grade += ["--cell-timeout", str(CELL), "--timeout", str(TOTAL), "--memory", str(MEMORY)]
    done = subprocess.run(as_user(grade, uid), cwd=root, env=environment(), capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"The command ended with status {done.returncode}: {done.stderr[-2000:]}")
    report = {row["student"]: row for row in json.loads(done.stdout)["units"]}
    left = descendants()
    found = [outcome(case, root, f"m{number:04}", report.get(f"m{number:04}")) for number, case in enumerate(chosen)]
    scores = {student: report[student]["score"] if student in report else None for student in HONEST}
    whole = [f"the honest student {student} has {score} points" for student, score in scores.items() if score != 7]
    whole += [f"{name} was changed" for name, mark in marks(root).items() if before.get(name) != mark]
    whole += [f"{name} is gone" for name in before.keys() - marks(root).keys()]
    if whole:
        raise RuntimeError("The course is not as it must be: " + "; ".join(whole))
    shutil.rmtree(root)
    return found, left


def outcome(case: dict, root: Path, student: str, row: dict | None) -> list[str]:
    """Sentences on what is not safe about one student's record."""
    from tests.grading.attacks.assignment import points
    from tests.grading.attacks.corpus import Attack
    from tests.grading.attacks.folders import NAME
    from tests.grading.attacks.judge import active, unsafe

    if row is None:
        return ["it is missing in the report"]
    path = root / "reports" / "hw" / "records" / student / Path(NAME).with_suffix(".json").name
    record = json.loads(path.read_text(encoding="utf-8"))
    attack = Attack(case["group"], case["name"], double=case["double"], even=case["even"])
    found = unsafe(attack, record, points(record), record["seconds"], TOTAL + 10)
    if case["double"] == case["even"] == 0 and case["attack"].__class__ is not Attack and not record["reasons"]:
        found.append("it was refused without a reason")
    pages = sorted((root / "feedback" / student).rglob("*.html"))
    found += [f"its feedback page runs {things}" for p in pages if (things := active(p.read_text(encoding="utf-8")))]
    return found


def marks(root: Path) -> dict[str, str]:
    """Hashes of the files that grading must not change."""
    files = [root / "nbgrader_config.py", *root.glob("source/*/*"), *root.glob("submitted/*/hw/*.ipynb")]
    plain = [p for p in files if p.is_file() and not p.is_symlink() and p.stat().st_size < 10**8]
    return {str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in plain}


def descendants() -> list[str]:
    """Processes that this one or its children started and that run still; those whose parent ended are this one's."""
    parents, names = {}, {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            name, _, rest = Path("/proc", pid, "stat").read_text(errors="replace").partition("(")[2].rpartition(")")
        except OSError:
            continue
        if rest.split()[0] != "Z":
            parents[pid], names[pid] = rest.split()[1], f"{pid} {name}"
    family = {str(os.getpid())}
    while more := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= more
    return sorted(names[pid] for pid in family if pid != str(os.getpid()))


def as_user(line: list[str], uid: int | None) -> list[str]:
    """The command as that user. Where the interpreter lies in a folder of root's alone, it runs in a mount namespace in which
    that folder shows only the way to it."""
    if uid is None:
        return line
    needed = [Path(sys.base_prefix), Path(sys.prefix), ROOT]
    closed = {p for path in needed for p in path.parents if p.stat().st_mode & 0o5 != 0o5}
    script = ["set -e"]
    for top in sorted(closed):
        inside = [str(p) for p in dict.fromkeys(needed) if top in p.parents]
        script += [f"exec {number}<{path}" for number, path in zip(count(5), inside, strict=False)]
        script.append(f"mount -t tmpfs -o mode=755 tmpfs {top}")
        for number, path in zip(count(5), inside, strict=False):
            script += [f"mkdir -p {path}", f"mount -c --bind /proc/$$/fd/{number} {path}", f"exec {number}<&-"]
    script.append(f'exec setpriv --reuid {uid} --regid {uid} --clear-groups env HOME=/tmp "$@"')
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script), "sh", *line]


def stock(chosen: list[dict], template: Path, scratch: Path, slots: int, journal: Path | None) -> list[list[str]]:
    """Sentences on what was not safe in each attack on stock. A journal lets a run that was stopped go on."""
    from grading_boxes import run

    numbers, mine, known = count(), local(), {}
    if journal is not None and journal.is_file():
        lines = map(json.loads, journal.read_text(encoding="utf-8").splitlines())
        known = {(line["group"], line["name"]): line["found"] for line in lines}

    def one(item: tuple[int, dict]) -> list[str]:
        number, case = item
        if (case["group"], case["name"]) in known:
            return known[case["group"], case["name"]]
        mine.slot = getattr(mine, "slot", None)
        if mine.slot is None:
            mine.slot = next(numbers)
        folder = scratch / "stock" / str(number) / "submitted" / "mallory" / "hw"
        folder.mkdir(parents=True)
        shutil.copytree(template / "source", folder.parents[2] / "source", dirs_exist_ok=True)  # what links point to
        try:
            case["fill"](folder)
            found = judged(case, run(template, folder, mine.slot))
        finally:
            shutil.rmtree(folder.parents[2])
        print(f"stock: {case['group']}: {case['name']}: {found or 'safe'}", file=sys.stderr, flush=True)
        if journal is not None:
            with open(journal, "a", encoding="utf-8") as file:
                file.write(json.dumps({"group": case["group"], "name": case["name"], "found": found}) + "\n")
        return found

    with ThreadPoolExecutor(slots) as pool:
        return list(pool.map(one, enumerate(chosen)))


def judged(case: dict, seen: dict) -> list[str]:
    """Sentences on what was not safe in one box; the most telling first."""
    from grading_attack_table import NOT_TRIED

    if not seen["ended"]:
        return ["the batch never ended, or took all memory, and was stopped from outside"]
    if "lost" in seen:
        return [NOT_TRIED]
    found, points = [], seen["points"]
    if "broken" in points:
        found.append(f"the gradebook is broken: {points['broken']}")
    cells = points.get("mallory", {})
    double, even = (
        sum((cells.get(f"{name}_{part}") or [0])[0] or 0 for part in ("check", "hidden")) for name in ("double", "even")
    )
    if case["double"] is not None and double > case["double"]:
        found.append(f"{double:g} points for the attack, not {case['double']:g}")
    elif (case["double"] is not None and double < case["double"]) or (case["even"] is not None and even < case["even"]):
        found.append(f"{double:g} and {even:g} points, where honest work earned more")
    if case["even"] is not None and even > case["even"]:
        found.append(f"{even:g} points for the other exercise, not {case['even']:g}")
    for student in ("alice", "other"):
        theirs = points.get(student, {})
        automatic = sum(row[0] or 0 for row in theirs.values())
        if "broken" not in points and automatic != 7:
            found.append(f"the student {'before' if student == 'alice' else 'after'} it has {automatic:g} of 7 points")
        if any(row[1] for row in theirs.values()):
            found.append("points of another student were changed")
    found += [f"{name} was changed" for name in seen["touched"][:2]]
    found += ["a secret file was read"] if seen["secret"] else []
    found += ["the batch did not end in time"] if not seen["in_time"] else []
    found += [f"{seen['left']} processes were left"] if seen["left"] and seen["in_time"] else []
    if things := _page(seen["book"]):
        found.append(f"the graded notebook's page runs or fetches {', '.join(things[:2])}")
    return found


def _page(book: str) -> list[str]:
    """What the page of a graded notebook would run; "" stands for none."""
    from tests.grading.attacks.judge import active, rendered

    if not book:
        return []
    try:
        return active(rendered(json.loads(book)))
    except Exception as error:  # whatever nbconvert says: formgrader shows an error page then
        return [f"nothing but an error, {type(error).__name__}"]


def describe() -> dict:
    """What was run, on what, when."""
    return {
        "name": "attacks",
        "what": "hostile submissions to a small assignment, on lessonlib grade autograde and on nbgrader autograde",
        "device": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}",
        "versions": {
            "python": platform.python_version(),
            **{n: version(n) for n in ("nbgrader", "ipython", "ipykernel")},
        },
        "date": datetime.date.today().isoformat(),
        "limits": {"cell": CELL, "submission": TOTAL, "memory_mb": MEMORY},
        "method": "ours: one class through the command, sandbox and verifier on; stock: a box of its own for each attack",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
