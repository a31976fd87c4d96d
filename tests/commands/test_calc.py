"""The dispatcher of `lessonlib calc`: help, text and JSON, mistakes in one sentence, and how numbers are read."""

import json
import shlex
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lessonlib.commands import arguments, calc

COMMANDS = ["vram", "kv", "training", "tokens", "context", "throughput", "cost", "switch"]


def run(capsys, *argv):
    """(exit status, stdout, stderr) of one command."""
    status = calc.main(list(argv))
    out, err = capsys.readouterr()
    return status, out, err


def test_every_command_is_registered_with_a_run_function_and_json():
    _, commands = calc.parser()
    assert sorted(commands) == sorted(COMMANDS)
    for one in commands.values():
        assert callable(one.get_default("run")) and "--json" in one.format_help()


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_the_commands(capsys, argv):
    status, out, err = run(capsys, *argv)
    assert status == 0 and not err
    assert all(f"\n    {name} " in out for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_each_command_runs(capsys, name):
    status, out, _ = run(capsys, name, "--help")
    assert status == 0
    prefix = f"  lessonlib calc {name} "
    examples = [
        line.removeprefix(prefix) for line in out.partition("example:")[2].splitlines() if line.startswith(prefix)
    ]
    assert len(examples) == 1
    argv = [name, *shlex.split(examples[0])]
    status, text, err = run(capsys, *argv)
    assert status == 0 and text.strip() and not err
    status, out, err = run(capsys, *argv, "--json")
    assert status == 0 and not err
    assert isinstance(json.loads(out), dict) and out.startswith('{\n  "')


@pytest.mark.parametrize(
    "argv, says",
    [
        (["tokns"], "lessonlib calc: There is no calculator 'tokns'"),
        (["tokns"], "Did you mean 'tokens'?"),
        (
            ["tokens", "--txt", "a", "--text", "b"],
            "lessonlib calc tokens: There is no option '--txt'. Did you mean '--text'?",
        ),
        (["tokens", "--text", "a", "b"], "There is no argument 'b'"),
        (["tokens"], "lessonlib calc tokens: One of the arguments"),
        (["context", "--window", "abc"], "'abc' is no whole number of 0 or more; write 50000"),
        (["context", "--window", "0"], "lessonlib calc context: Window is 0, but must be a whole number above 0."),
        (
            ["throughput", "--model", "qwen3-33b", "--gpu", "h100-sxm"],
            "The fact base has no model 'qwen3-33b'. Nearest: ",
        ),
        (["switch", "--bytes", "1e9", "--level", "3"], "invalid choice"),
    ],
)
def test_a_mistake_is_one_sentence_on_stderr(capsys, argv, says):
    status, out, err = run(capsys, *argv)
    assert status == 2 and not out
    assert says in err and len(err.splitlines()) == 1 and err.startswith("lessonlib calc") and "Traceback" not in err


def test_abbreviated_options_are_not_guessed(capsys):
    status, _, err = run(capsys, "context", "--win", "100")
    assert status == 2 and err


def test_the_command_line_has_calc():
    from lessonlib import cli

    assert cli.COMMANDS["calc"][0] == "lessonlib.commands.calc"


def test_the_import_is_light():
    code = (
        "import sys; from lessonlib.commands import calc; status = calc.main(['tokens', '--characters', '115']); "
        "heavy = {'torch', 'numpy', 'transformers', 'IPython', 'matplotlib', 'yaml'} & set(sys.modules); "
        "sys.exit(status or str(heavy) if heavy else status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# How numbers are read

COUNTS = [
    ("50000", 50_000),
    ("50 000", 50_000),
    ("50,000", 50_000),
    ("1,234,567", 1_234_567),
    ("32_768", 32_768),
    ("128k", 128_000),
    ("128K", 128_000),
    ("128Ki", 131_072),
    ("1e6", 10**6),
    ("1.5M", 1_500_000),
    ("2.50e3", 2_500),
    ("7B", 7 * 10**9),
    ("0", 0),
    ("10.0", 10),
    (" 42 ", 42),
    ("12345678901234567890", 12345678901234567890),
]
NOT_COUNTS = [
    "",
    "abc",
    "-1",
    "1.5",
    "12,5",
    "1,5M",
    "50 00",
    "1e",
    "nan",
    "inf",
    "0x10",
    "1e400",
    "1.2.3",
    "3kk",
    "٣",
    "_1",
    "1__0",
    "1_",
]


@pytest.mark.parametrize("text, value", COUNTS)
def test_counts_in_every_spelling(text, value):
    assert arguments.count(text) == value and type(arguments.count(text)) is int


@pytest.mark.parametrize("text", NOT_COUNTS)
def test_what_is_no_count_is_refused(text):
    with pytest.raises(ValueError, match="is no whole number of 0 or more; write 50000") as caught:
        arguments.count(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    "text, value", [("0.12", 0.12), (".5", 0.5), ("2e9", 2 * 10**9), ("1.5M", 1_500_000), ("1e-3", 0.001)]
)
def test_numbers(text, value):
    assert arguments.number(text) == value
    assert type(arguments.number(text)) is type(value)


@pytest.mark.parametrize("text", ["", "x", "-0.1", "nan", "inf", "0,12"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="is no number of 0 or more"):
        arguments.number(text)


@given(st.integers(0, 10**15))
def test_every_printed_number_is_read_back(n):
    for text in (str(n), f"{n:,}", f"{n:_}", f"{n:,}".replace(",", " "), f"{n}k"):
        assert arguments.count(text) == n * (1000 if text.endswith("k") else 1)


@given(st.text(max_size=12))
def test_any_text_is_a_count_or_refused_in_a_sentence(text):
    try:
        assert arguments.count(text) >= 0
    except ValueError as error:
        assert "is no whole number" in str(error)


def test_pairs():
    assert arguments.pair("chat log=30k") == ("chat log", 30_000)
    for wrong in ("system", "=5", "system=", "system=-1"):
        with pytest.raises(ValueError):
            arguments.pair(wrong)


def test_sentences_and_near_names():
    assert arguments.sentence("window is 0") == "Window is 0." and arguments.sentence("Why?") == "Why?"
    assert (
        arguments.nearest("tokns", COMMANDS) == " Did you mean 'tokens'?" and arguments.nearest("zzz", COMMANDS) == ""
    )


def test_a_source_line_is_short_and_dated():
    long = "LitGPT table, each entry checked; White paper (4090: 165; 330); Count: built here; author knowledge, not confirmed"
    want = "Source (2026-11-23): LitGPT table; White paper; Count; author knowledge, not confirmed."
    assert arguments.source_line(long, "2026-11-23") == want
    assert arguments.source_line("a seed value") == "Source: a source lesson value."


@pytest.mark.parametrize(
    "said, want",
    [("no such card", "No such card."), ("my.yaml: broken", "my.yaml: broken."), ("max_x is 0", "max_x is 0.")],
)
def test_a_sentence_leaves_names_of_files_and_fields_alone(said, want):
    assert arguments.sentence(said) == want
