"""`python -m skelrep.train RECIPE ...`, and under `torchrun`: the command `skelrep pretrain`."""

import sys

from skelrep.cli import main

if __name__ == "__main__":
    sys.exit(main(["pretrain", *sys.argv[1:]]))
