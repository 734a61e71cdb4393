"""The command line: `main` runs a command, `parser` builds the parser. Each module contains one family of commands."""

from skelrep.cli.main import main as main
from skelrep.cli.main import parser as parser
