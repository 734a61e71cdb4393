"""Damages and reads inputs in a process of its own: a job on each line of JSON in, an answer on each line out.

In: {"kind", "path", "options"} for one answer about an input as it is; with "damaged" (the files to damage), "name",
"first" and "cases" for an answer about each case from `first` on. Out: {"outcome", "error", "sentence", "megabytes"}
and "size" in bytes, where outcome is "clean" (a documented error in one sentence), "accepted" or "crash" (any other
exception). The parent process sees hangs, and crashes of the interpreter.
"""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import resource
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.fuzz.mutators import damage
from tests.fuzz.seeds.seed import seed_of
from tests.memory import peak

LIMIT = 6 * 2**30  # of address space, so that one case cannot take the machine's memory
# A TypeError is documented only for arguments; readers are given files, so a TypeError is a bug.
DOCUMENTED = (ValueError, OSError, ModuleNotFoundError)
# Subclasses of ValueError that no reader raises itself: they come from a codec or a parser.
RAW = ("UnicodeDecodeError", "JSONDecodeError", "BadZipFile", "UnicodeEncodeError")


def poses(path: str, **options: Any) -> object:
    import skelrep

    found = skelrep.read(path, **options)
    return [clip.shape for clip in found.clips], repr(found)


def video(path: str) -> object:
    """A video, in which an estimator of the tests finds people."""
    from tests.videos import Squares

    return poses(path, pose_model=Squares())


def pieces(path: str) -> object:
    """A file clip by clip, as a corpus reads large files."""
    from skelrep.io.pieces import pieces
    from skelrep.io.reading import Declared, read_pieces
    from skelrep.io.sources import sources

    found, declared = sources(path), Declared(skeleton="kinect-20")
    some = list(pieces(found, None, declared.options(None), most=1, piece_bytes=1))
    return [repr(part) for part in read_pieces(found, some, declared)]


def embeddings(path: str) -> object:
    from skelrep.io import embeddings

    return repr(embeddings.load(path))


def model(path: str) -> object:
    import skelrep

    return repr(skelrep.load_pretrained(path))


def training_corpus(path: str) -> object:
    from skelrep import EncoderConfig
    from skelrep.train.data import Corpus

    return len(Corpus.load(path, EncoderConfig()))


def checkpoint(path: str) -> object:
    from skelrep.hub import convert_cmd

    return repr(convert_cmd(path))


def classifier(path: str) -> object:
    from skelrep.recordings import Classifier

    return Classifier.load(path).report_


def events(path: str) -> object:
    from skelrep.recordings import Events

    return repr(Events.load(path))


def run(path: str, corpus: str | None = None, results: str | None = None) -> object:
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


def embedded_folder(path: str, model: str, **options: Any) -> object:
    """A folder of recordings to a folder of shards."""
    from skelrep import corpus

    with tempfile.TemporaryDirectory() as folder:
        corpus.embed(path, folder, _encoder(model), device="cpu", **options)
        return len(corpus.open(folder).embeddings().rows)


def shards(path: str) -> object:
    """A folder of shards, of which some may be missing: all its rows, in each of the ways to ask for them."""
    from skelrep import corpus

    found = corpus.open(path, partial=True)
    with tempfile.TemporaryDirectory() as folder:
        found.rows.save(Path(folder) / "rows.npy")
    return found.rows[-1:], repr(found.embeddings())


def resumed_folder(path: str, inputs: str, model: str, **options: Any) -> object:
    """A folder of shards which `embed` brings up to date."""
    from skelrep import corpus

    with tempfile.TemporaryDirectory() as folder:
        # Links stay links: a copy of what /dev/zero gives would fill the disk.
        shutil.copytree(path, Path(folder) / "rows", symlinks=True, copy_function=_copy)
        return corpus.embed(inputs, Path(folder) / "rows", _encoder(model), device="cpu", **options)


def _copy(source: str, target: str) -> None:
    """Copies a file; a pipe or socket has nothing to copy and gets a second name."""
    (shutil.copy2 if Path(source).is_file() else os.link)(source, target)


def command(path: str, words: list[str]) -> object:
    """A command of skelrep. Its error becomes a ValueError; what it writes must not hold control characters."""
    from skelrep.cli import main

    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(io.StringIO()) as said:
        code = main([word.replace("PATH", path) for word in words])
    written = shown.getvalue() + said.getvalue()
    assert all(character.isprintable() or character in "\n\t\u200c\u200d" for character in written), repr(written)[:200]
    if code:
        *_, last = said.getvalue().splitlines()
        assert code == 1 and last.startswith("skelrep: error: ") and written.count("skelrep: error: ") == 1, written
        raise ValueError(last)
    return shown.getvalue()


@functools.cache
def _encoder(model: str) -> Any:
    import skelrep

    return skelrep.load_pretrained(model, device="cpu")


#: What a user would do with an input, by the kind of a seed.
KINDS: dict[str, Callable[..., object]] = {
    function.__name__: function
    for function in (
        *(poses, video, pieces, embeddings, model, training_corpus, checkpoint, classifier, events, run),
        *(embedded_folder, shards, resumed_folder, command),
    )
}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a library that prints does not disturb the answers
    for line in sys.stdin:
        job = json.loads(line)
        if "first" not in job:
            answers.write(json.dumps(answer_to(job)) + "\n")
            answers.flush()
            continue
        seed = seed_of(job)
        contents = {path: path.read_bytes() for path in seed.damaged}
        for number in range(job["first"], job["cases"]):
            path = damage(contents, job["name"], number)
            answer = answer_to(job)
            answer["size"] = sum(file.stat().st_size for file in seed.damaged)
            path.write_bytes(contents[path])
            answers.write(json.dumps(answer) + "\n")
            answers.flush()


def answer_to(job: dict[str, Any]) -> dict[str, Any]:
    """What reading the input of a job gives."""
    peak()
    before = peak()
    answer: dict[str, Any] = {"outcome": "accepted", "error": "", "sentence": ""}
    try:
        KINDS[job["kind"]](job["path"], **job["options"])
    except DOCUMENTED as error:
        sentence = str(error)
        plain = type(error).__name__ not in RAW and sentence and "\n" not in sentence and len(sentence) < 2000
        answer |= {"outcome": "clean" if plain else "crash", "error": type(error).__name__, "sentence": sentence}
    except BaseException as error:
        import traceback

        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{last.filename.rsplit('/', 1)[-1]}:{last.lineno}"
        answer |= {"outcome": "crash", "error": type(error).__name__, "sentence": f"{error} ({where})"[:500]}
    return answer | {"megabytes": max(0, peak() - before) / 1024}


if __name__ == "__main__":
    main()
