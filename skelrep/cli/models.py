"""Encoders as files and on the Hub: `convert-cmd`, `export-onnx`, `download`, `push`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

from skelrep.cli.command import Command
from skelrep.cli.output import print_json, report, show


def _add_convert_cmd(parser: ArgumentParser) -> None:
    parser.add_argument("checkpoint", help="for example checkpoint_0450.pth.tar; no pickle in it is executed")
    parser.add_argument(
        "output", metavar="FOLDER", help="model folder for config.json, model.safetensors and README.md"
    )


def _convert_cmd(arguments: Namespace) -> None:
    from skelrep.hub import convert_cmd

    encoder = convert_cmd(arguments.checkpoint, arguments.output)
    report(
        arguments,
        {"output": arguments.output, "dim": encoder.dim, "streams": list(encoder.config.modalities)},
        f"{arguments.checkpoint} -> {arguments.output}: {encoder!r}",
    )


def _add_export_onnx(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="an encoder (bundled name, folder or Hub id), or a classifier of `skelrep fit`")
    parser.add_argument(
        "output",
        metavar="OUT.onnx",
        help="the ONNX model takes prepared poses and returns embeddings, and probabilities of a classifier",
    )
    parser.add_argument("--revision", help="branch, tag or commit of a Hub model")


def _export_onnx(arguments: Namespace) -> None:
    from skelrep.encoder.onnx import export_onnx
    from skelrep.hub import load_pretrained
    from skelrep.recordings import Classifier
    from skelrep.recordings.saved import is_head

    where = {"revision": arguments.revision, "device": "cpu"}
    facts: dict[str, Any] = {"output": arguments.output}
    if is_head(arguments.model, arguments.revision):
        classifier = Classifier.load(arguments.model, **where)
        difference, dim = classifier.export_onnx(arguments.output), classifier.n_features_in_
        facts["classes"] = classifier.classes_.tolist()
        what = f"classifier {arguments.model} of {len(classifier.classes_)} classes, {classifier.loaded_encoder()!r}"
    else:
        encoder = load_pretrained(arguments.model, **where)
        difference, dim, what = export_onnx(encoder, arguments.output), encoder.dim, repr(encoder)
    size = Path(arguments.output).stat().st_size
    report(
        arguments,
        facts | {"dim": dim, "bytes": size, "difference": difference},
        f"{what} -> {arguments.output}, {size / 1e6:.1f} MB, within {difference:.0e} of PyTorch",
    )


def _add_download(parser: ArgumentParser) -> None:
    parser.add_argument("model", help="a Hub id (or a bundled name, to copy it)")
    parser.add_argument("-o", "--output", metavar="FOLDER", help="copy it into this folder")
    parser.add_argument("--revision", help="branch, tag or commit")


def _download(arguments: Namespace) -> None:
    from skelrep.hub import download

    folder = download(arguments.model, arguments.output, revision=arguments.revision)
    if arguments.json:
        print_json({"model": arguments.model, "output": str(folder)}, arguments)
    else:
        show(folder)


def _add_push(parser: ArgumentParser) -> None:
    parser.add_argument("folder", metavar="DIR", help="a model folder, as written by `skelrep export`")
    parser.add_argument("repository", metavar="ORG/NAME", help="created if it does not exist")
    parser.add_argument(
        "--private", action="store_true", help="create a private repository; an existing public one is refused"
    )
    parser.add_argument("--message", help="commit message")
    parser.add_argument("--revision", metavar="BRANCH", help="created if it does not exist (default: main)")
    parser.add_argument("--replace-card", action="store_true", help="overwrite an existing README.md")


def _push(arguments: Namespace) -> None:
    from skelrep.hub import push_to_hub

    address = push_to_hub(
        arguments.folder,
        arguments.repository,
        private=arguments.private or None,
        revision=arguments.revision,
        commit_message=arguments.message,
        replace_card=arguments.replace_card,
    )
    if arguments.json:
        print_json({"repository": arguments.repository, "commit": address}, arguments)
    else:
        show(address)


COMMANDS = (
    Command(
        "convert-cmd",
        "convert a training checkpoint of the public CMD code to a model folder",
        ("convert-cmd checkpoint_0450.pth.tar my-encoder",),
        _add_convert_cmd,
        _convert_cmd,
    ),
    Command(
        "export-onnx",
        "export an encoder or a classifier as ONNX and compare it with PyTorch",
        ("export-onnx i2md-small i2md-small.onnx", "export-onnx head head.onnx"),
        _add_export_onnx,
        _export_onnx,
    ),
    Command(
        "download",
        "fetch an encoder from the Hub and print its folder",
        (
            "download ORG/NAME                       # then it loads without a network",
            "download ORG/NAME -o my-encoder         # writes a folder that can be copied",
        ),
        _add_download,
        _download,
    ),
    Command(
        "push",
        "upload an encoder to the Hub and print the address of the commit",
        ("push my-encoder ORG/NAME --private",),
        _add_push,
        _push,
    ),
)
