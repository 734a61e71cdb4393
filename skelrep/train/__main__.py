"""The command `skelrep pretrain` as `python -m skelrep.train RECIPE ...`, which `torchrun` can start."""

import sys

from skelrep.cli import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
