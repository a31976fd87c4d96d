"""`python -m lessonlib.models.training`: train an embedded model from the corpus folder, export a run, remake a card."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog="python -m lessonlib.models.training", description=__doc__)
    made.add_argument("--model", help="a preset: mini, target, draft, moe")
    made.add_argument("--corpus", metavar="DIR", help="the folder with manifest.json and packed text")
    made.add_argument("--out", metavar="DIR", help="tokenizer, token arrays and checkpoints go here")
    made.add_argument("--tokens", type=int, help="tokens to train on (default: the preset's)")
    made.add_argument("--minutes", type=float, help="stop after this much training time, if that comes first")
    made.add_argument("--batch", type=int, help="sequences a step (default: the preset's)")
    made.add_argument("--long-share", type=float, help="last share of the run on windows of the whole context, 0 to 1")
    made.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change another setting of the preset"
    )
    made.add_argument("--device", help="cuda, mps or cpu (default: LESSON_DEVICE, then the best there is)")
    made.add_argument(
        "--threads", type=int, help="CPU threads; fewer than cores is faster on a machine with other work"
    )
    made.add_argument(
        "--tokenizer", metavar="FILE", help="take over this tokenizer.json (default: the course's; `new` trains one)"
    )
    made.add_argument("--start", metavar="DIR", help="the model to grow from (default: the embedded one of that name)")
    made.add_argument("--teacher", metavar="DIR", help="the model to imitate (default: the embedded one of that name)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--fp32", action="store_true", help="train without bf16 autocast")
    made.add_argument("--compile", action="store_true", help="compile the model: pays for runs over 15 minutes")
    made.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    made.add_argument(
        "--export", metavar="DIR", help="train nothing: write the checkpoint as a model folder with its card"
    )
    made.add_argument("--card", metavar="DIR", help="only remake README.md of a model folder from its training.json")
    made.add_argument(
        "--probe", metavar="DIR", help="only measure probes and samples of a model folder again, and remake its card"
    )
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status: 2 for a mistake of the user's."""
    options = parser().parse_args(argv)
    try:
        if options.card or options.probe:
            return _remake_card(Path(options.card or options.probe), options if options.probe else None)
        return _main(options)
    except (ValueError, OSError) as error:
        print(f"training: {error}", file=sys.stderr)
        return 2


def _main(options) -> int:
    from ..device import pick_device
    from .corpus import Corpus
    from .presets import changed, preset
    from .trainer import Run, train

    for name in ("model", "corpus", "out"):
        if not getattr(options, name):
            raise ValueError(f"--{name} is missing: training and --export need --model, --corpus and --out.")
    for name in ("tokens", "minutes", "batch", "threads"):
        if (value := getattr(options, name)) is not None and value <= 0:
            raise ValueError(f"--{name} is {value}, but must be above 0.")
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    if options.long_share is not None and not 0 <= options.long_share <= 1:
        raise ValueError(f"--long-share is {options.long_share}, but must be from 0 to 1.")
    given = {name: getattr(options, name) for name in ("tokens", "batch", "long_share")}
    changes = {name: value for name, value in given.items() if value is not None}
    shape = replace(changed(preset(options.model), options.set), **changes)
    run = Run(
        shape=shape,
        corpus=Corpus(options.corpus),
        out=Path(options.out),
        device=str(pick_device(options.device)),
        minutes=options.minutes,
        seed=options.seed,
        bf16=not options.fp32,
        compile=options.compile,
        tokenizer=_tokenizer(options.tokenizer),
        start=_folder(options.start, shape.start),
        teacher=_folder(options.teacher, shape.teacher),
    )
    if options.export:
        from .export import export

        record = export(run, Path(options.export))
        print(f"{record['name']}: {record['tokens_seen']:,} tokens, {record['bits_per_byte']['all']} bits per byte")
        return 0
    train(run, resume=options.resume, report=lambda line: print(line, flush=True))
    return 0


def _tokenizer(given: str | None) -> Path | None:
    """The tokenizer to take over: one vocabulary for the whole family, so that models can guess for each other."""
    from ..embedded import WEIGHTS

    return None if given == "new" else Path(given or WEIGHTS / "mini" / "tokenizer.json")


def _folder(given: str | None, name: str | None) -> Path | None:
    """The folder given, else that of the embedded model called `name`, or None where the preset names none."""
    from ..embedded import WEIGHTS

    return Path(given) if given else WEIGHTS / name if name else None


def _remake_card(folder: Path, options=None) -> int:
    import json

    from .export import measure, write

    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    if options:
        record |= measure(folder, _folder(options.teacher, record["shape"].get("teacher")))
    write(folder, record)
    return 0


if __name__ == "__main__":
    sys.exit(main())
