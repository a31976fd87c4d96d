"""`python -m lessonlib.models.training`: train an embedded model from the corpus folder, or export a run."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog="python -m lessonlib.models.training", description=__doc__)
    made.add_argument("--model", required=True, help="a preset: mini, target, draft, moe")
    made.add_argument("--corpus", required=True, metavar="DIR", help="the folder with manifest.json and packed text")
    made.add_argument("--out", required=True, metavar="DIR", help="tokenizer, token arrays and checkpoints go here")
    made.add_argument("--tokens", type=int, help="tokens to train on (default: the preset's)")
    made.add_argument("--minutes", type=float, help="stop after this much training time, if that comes first")
    made.add_argument("--batch", type=int, help="sequences a step (default: the preset's)")
    made.add_argument("--device", help="cuda, mps or cpu (default: LESSON_DEVICE, then the best there is)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--fp32", action="store_true", help="train without bf16 autocast")
    made.add_argument("--compile", action="store_true", help="compile the model: pays for runs over 15 minutes")
    made.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    made.add_argument(
        "--export", metavar="DIR", help="train nothing: write the checkpoint as a model folder with its card"
    )
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = parser().parse_args(argv)
    try:
        return _main(options)
    except ValueError as error:
        print(f"training: {error}", file=sys.stderr)
        return 2


def _main(options) -> int:
    from ..device import pick_device
    from .corpus import Corpus
    from .presets import preset
    from .trainer import Run, train

    shape = preset(options.model)
    changes = {k: getattr(options, k) for k in ("tokens", "batch") if getattr(options, k)}
    run = Run(
        shape=replace(shape, **changes),
        corpus=Corpus(options.corpus),
        out=Path(options.out),
        device=str(pick_device(options.device)),
        minutes=options.minutes,
        seed=options.seed,
        bf16=not options.fp32,
        compile=options.compile,
    )
    if options.export:
        from .export import export

        export(run, Path(options.export))
        return 0
    train(run, resume=options.resume, report=lambda line: print(line, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
