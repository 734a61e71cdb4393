"""The command line."""

from skelrep.cli.main import main as main
