"""`python -m skelrep.train RECIPE --data POSES ... -o RUN`: pretrains an encoder and writes it into RUN/encoder."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path

import torch

from skelrep.encoder import as_device
from skelrep.hub import save_pretrained
from skelrep.io import read
from skelrep.train.data import Corpus
from skelrep.train.loop import pretrain
from skelrep.train.recipes import RECIPES


def main(argv: list[str] | None = None) -> int:
    """Runs one recipe; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m skelrep.train", description=main.__doc__)
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--data", nargs="+", required=True, metavar="POSES", help="three-dimensional poses with fps")
    parser.add_argument("-o", "--output", required=True, type=Path, metavar="RUN", help="resumed if it holds this run")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--device", help="by default the best there is")
    parser.add_argument("--threads", type=int, help="of the processor")
    arguments = parser.parse_args(argv)
    try:
        if arguments.threads:
            torch.set_num_threads(arguments.threads)
        changes = {key: getattr(arguments, key) for key in ("steps", "seed") if getattr(arguments, key) is not None}
        recipe = dataclasses.replace(RECIPES[arguments.recipe](), **changes)
        corpus = Corpus.of([read(path) for path in arguments.data], recipe.encoder, as_device(arguments.device))
        encoder = pretrain(recipe, corpus, arguments.output)
        encoder.config.training.update(
            recipe=arguments.recipe,
            data=[{"name": Path(path).stem} for path in arguments.data],
            hyper_parameters={k: v for k, v in dataclasses.asdict(recipe).items() if k != "encoder"},
        )
        save_pretrained(encoder.cpu(), arguments.output / "encoder", replace_card=True)
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:
        sys.stderr.write(f"skelrep.train: error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
