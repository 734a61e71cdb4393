"""The command line: `main` runs it, `parser` describes it. Each module holds a family of commands."""

from skelrep.cli.main import main as main
from skelrep.cli.main import parser as parser
