"""Reads cases in a process of its own: one line of JSON in for each, one line out.

In: {"kind", "path", "options", "size"}. Out: {"outcome", "error", "sentence", "megabytes"}, where outcome is "clean" (a
documented error in one sentence), "accepted" or "crash" (any other exception). The parent process sees hangs, and
crashes of the interpreter.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

LIMIT = 6 * 2**30  # of address space, so that one case cannot take the machine's memory
# A TypeError is documented only for arguments; readers are given files, so a TypeError is a bug.
DOCUMENTED = (ValueError, OSError, ModuleNotFoundError)
# Subclasses of ValueError that no reader raises itself: they come from a codec or a parser.
RAW = ("UnicodeDecodeError", "JSONDecodeError", "BadZipFile", "UnicodeEncodeError")


def read(kind: str, path: str, options: dict[str, Any]) -> object:
    """What a user would do with an input of this kind."""
    if kind == "poses":
        import skelrep

        poses = skelrep.read(path, **options)
        return [clip.shape for clip in poses.clips], repr(poses)
    if kind == "embeddings":
        from skelrep.io import embeddings

        return repr(embeddings.load(path))
    if kind == "model":
        import skelrep

        return repr(skelrep.load_pretrained(path))
    if kind == "corpus":
        from skelrep import EncoderConfig
        from skelrep.train.data import Corpus

        return len(Corpus.load(path, EncoderConfig()))
    if kind == "checkpoint":
        from skelrep.hub import convert_cmd

        return repr(convert_cmd(path))
    if kind == "classifier":
        from skelrep.recordings import Classifier

        return Classifier.load(path).report_
    if kind == "events":
        from skelrep.recordings import Events

        return repr(Events.load(path))
    if kind == "run":
        return read_run(path, **options)
    if kind == "info":
        from skelrep.cli.info import _run

        return _run(Path(path))
    raise ValueError(f"no kind of input is called {kind!r}")


def read_run(path: str, corpus: str | None = None, results: str | None = None) -> str:
    """Exports a run, and resumes it where its corpus is given."""
    from skelrep.train.run import export

    with tempfile.TemporaryDirectory() as folder:
        said = repr(export(path, Path(folder) / "out", results=results))
    if corpus is not None:
        from skelrep.train.data import Corpus
        from skelrep.train.loop import pretrain
        from tests.fuzz.seeds.stores import RECIPE

        pretrain(RECIPE, Corpus.load(corpus, RECIPE.encoder), Path(path), show_progress=False)
    return said


def _peak() -> int:
    """The most memory that the process has held since the last call, and from now on anew, in kB."""
    status = Path("/proc/self/status").read_text()
    peak = next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark becomes what is held now
    return peak


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints does not disturb the answers
    for line in sys.stdin:
        case = json.loads(line)
        _peak()
        before = _peak()
        answer = {"outcome": "accepted", "error": "", "sentence": ""}
        try:
            read(case["kind"], case["path"], case["options"])
        except DOCUMENTED as error:
            sentence = str(error)
            plain = type(error).__name__ not in RAW and sentence and "\n" not in sentence and len(sentence) < 2000
            answer |= {"outcome": "clean" if plain else "crash", "error": type(error).__name__, "sentence": sentence}
        except BaseException as error:
            import traceback

            last = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
            answer |= {"outcome": "crash", "error": type(error).__name__, "sentence": f"{error} ({where})"[:500]}
        answer["megabytes"] = max(0, _peak() - before) / 1024
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
