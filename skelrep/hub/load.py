"""Loading of encoders: bundled, from a folder, or from the Hugging Face Hub.

Loading is strict: both files come from one commit, config.json has exactly the known keys, and every tensor is present,
of the expected shape, and finite. Anything else is an error: no weight is left random, and no pickle is ever executed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from skelrep.encoder import Encoder, EncoderConfig, Source
from skelrep.encoder.device import as_device
from skelrep.files import replacing, synced
from skelrep.hub.errors import checked_token, explain_errors
from skelrep.json_text import check_depth, check_numbers
from skelrep.messages import nearest, one_line
from skelrep.version import __version__

PRETRAINED = Path(__file__).parents[1] / "pretrained"
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
MAX_CONFIG_BYTES = 1_000_000  # a real config has about 3 kB; parsing a malicious one could exhaust the memory

# The stored types allowed for each type of tensor of the encoder. Half precision only makes the file smaller.
STORED_AS = {torch.float32: (torch.float32, torch.float16, torch.bfloat16), torch.int64: (torch.int64,)}


def bundled() -> list[str]:
    """Names of the bundled encoders, which load without a network."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{CONFIG}"))


def load_pretrained(
    name_or_path: str | os.PathLike = "i2md-small",
    *,
    revision: str | None = None,
    device: str | torch.device | None = None,
    cache_dir: str | os.PathLike | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> Encoder:
    """Loads a trained encoder, ready to embed.

    Args:
        name_or_path: One of `bundled()`; a folder with config.json and model.safetensors ("./name" if a bundled encoder
            has the same name; `~` is expanded); or "organisation/name" on the Hugging Face Hub. A `Path` is always a
            folder.
        revision: Branch, tag or commit of the Hub repository. A full commit hash that is in the cache is loaded without
            any request.
        device: Where to put the encoder; by default a GPU if CUDA has one, else the CPU.
        cache_dir: Where downloads are stored; by default the Hub client's cache.
        token: Access token for a private repository; by default the one that `hf auth login` stored.
        local_files_only: Load from the cache or fail. `HF_HUB_OFFLINE=1` does the same for a whole process.

    Returns:
        The encoder in evaluation mode; `encoder.source` says where it came from, with the Hub commit.

    Raises:
        FileNotFoundError: if there is no such name, folder, repository, revision or file, or it is not in the cache
            and the Hub cannot be reached.
        PermissionError: if the Hub does not accept the token.
        ConnectionError: if the Hub returns an error or the connection breaks.
        ValueError: if the name is not a valid one, there is no such device, or the files are not exactly what this
            version of skelrep writes.
    """
    target = as_device(device)  # checked before anything is downloaded
    folder, source = find(name_or_path, revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
    encoder = read_folder(folder)
    encoder.source = source
    return encoder.to(target)


def download(
    name_or_path: str | os.PathLike,
    folder: str | os.PathLike | None = None,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    token: str | bool | None = None,
) -> Path:
    """Downloads an encoder and its card, and checks the encoder; afterwards it loads without a network.

    Args:
        name_or_path: What `load_pretrained` takes.
        folder: A folder to copy it into, created if it does not exist; `load_pretrained(folder)` loads it. By default
            the encoder stays in the Hub client's cache, and loads by its name on the Hub.
        revision: As in `load_pretrained`.
        cache_dir: As in `load_pretrained`.
        token: As in `load_pretrained`.

    Returns:
        The folder with the encoder, for `load_pretrained`.

    Raises:
        OSError: as `load_pretrained`.
        ValueError: as `load_pretrained`; then nothing is copied.
    """
    source, _ = find(name_or_path, revision, names=(CONFIG, WEIGHTS, CARD), cache_dir=cache_dir, token=token)
    read_folder(source)
    if folder is None:
        return source
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:  # at its end all files are renamed, the config last
        for name in (CONFIG, WEIGHTS, CARD):
            if (source / name).is_file():  # the card may be missing
                original = files.enter_context((source / name).open("rb"))
                file = files.enter_context(replacing(folder / name, follow_links=False))
                shutil.copyfileobj(original, file)
                synced(file)
    return folder


def find(
    name_or_path: str | os.PathLike,
    revision: str | None,
    *,
    names: Sequence[str] = (CONFIG, WEIGHTS),
    needed: Sequence[str] = (CONFIG, WEIGHTS),
    local_files_only: bool = False,
    **options: Any,
) -> tuple[Path, Source]:
    """The folder that contains an encoder or a head, fetched if necessary, and its `Source`.

    Args:
        name_or_path: As `load_pretrained` takes it.
        revision: Branch, tag or commit.
        names: Files or patterns of files to fetch.
        needed: Files without which the repository contains nothing of this kind.
        local_files_only: Whether the Hub is not asked.
        **options: `cache_dir` and `token`.
    """
    name = os.fspath(name_or_path)
    path = Path(name).expanduser()
    is_bundled = isinstance(name_or_path, str) and name in bundled()
    if is_bundled or (name and path.is_dir()):
        if revision is not None:
            raise ValueError(f"{name} is not a repository on the Hub, so it has no revision {revision!r}; leave it out")
        return (PRETRAINED / name, Source(name)) if is_bundled else (path, Source(str(path)))
    if isinstance(name_or_path, str) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, re.ASCII):
        folder = _download(name, revision, names, needed, local_files_only=local_files_only, **options)
        return folder, Source(name, commit=folder.name)
    raise _no_such_encoder(name, path)


def _no_such_encoder(name: str, path: Path) -> OSError | ValueError:
    """The error for a name that is neither a bundled encoder nor a folder nor a Hub id."""
    if path.is_file():
        advice = "; a CMD training checkpoint is read by skelrep.hub.convert_cmd" if ".pt" in path.name else ""
        return ValueError(f"{name} is a file; pass the folder that contains {CONFIG} and {WEIGHTS}{advice}")
    if "://" in name or "@" in name:
        shown = "a URL" if ":" in name else name  # a URL may contain a password
        return ValueError(f"{shown} is not a Hub id: pass organisation/name, and a branch, tag or commit as revision=")
    if re.fullmatch(r"[\w.-]+", name):
        hint = nearest(name, bundled()) or f" (bundled: {', '.join(bundled()) or 'none'})"
        return FileNotFoundError(
            f"there is no bundled encoder and no folder {name!r}{hint}; a Hub id is organisation/name"
        )
    return FileNotFoundError(f"there is no folder {name!r}, and a Hub id is organisation/name with exactly one slash")


def _download(
    repo_id: str,
    revision: str | None,
    names: Sequence[str],
    needed: Sequence[str],
    *,
    local_files_only: bool,
    **options: Any,
) -> Path:
    """The snapshot folder of one commit with the needed files; its name is the commit."""
    from huggingface_hub import snapshot_download

    options["token"] = checked_token(options.get("token"))
    # A single call resolves a branch only once, so that both files come from the same commit.
    snapshot = functools.partial(
        snapshot_download,
        repo_id,
        revision=revision,
        allow_patterns=list(names),
        library_name="skelrep",
        library_version=__version__,
        **options,
    )
    if re.fullmatch(r"[0-9a-f]{40}", revision or "") and not local_files_only:
        with contextlib.suppress(FileNotFoundError):  # a commit never changes, so the cached copy is valid
            folder = Path(snapshot(local_files_only=True))
            if not _missing(folder, [name for name in names if "*" not in name]):
                return folder
    with explain_errors(repo_id, revision):
        folder = Path(snapshot(local_files_only=local_files_only))
    # The client returns an incomplete snapshot from the cache without an error.
    if missing := _missing(folder, needed):
        kind = "encoder" if CONFIG in needed else "head"
        raise FileNotFoundError(
            f"{' and '.join(missing)} of {repo_id} at commit {folder.name[:8]} is missing: the repository does not "
            f"contain a skelrep {kind}, or the download was interrupted; load it again while online"
        )
    return folder


def _missing(folder: Path, names: Sequence[str] = (CONFIG, WEIGHTS)) -> list[str]:
    return [name for name in names if not (folder / name).is_file()]


def read_folder(folder: Path) -> Encoder:
    """Reads the encoder in a folder."""
    if missing := _missing(folder):
        raise FileNotFoundError(f"{folder} is not a skelrep encoder: it has no {' and no '.join(missing)}")
    config = _read_config(folder / CONFIG)
    path = folder / WEIGHTS
    return assemble(config, read_tensors(path), str(path))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, mapped rather than read.

    Raises:
        ValueError: if it is not such a file, or shorter than stated in its header.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is damaged or not a safetensors file ({one_line(error)}); download it again"
        ) from error


def _read_config(path: Path) -> EncoderConfig:
    plain = read_strict_json(path)
    try:
        return EncoderConfig.from_dict(plain)
    except ValueError as error:
        raise ValueError(f"{path}: {one_line(error, 1000)}") from error


def read_strict_json(path: Path) -> Any:
    """A small JSON file, strictly: no key twice in an object, no NaN.

    Raises:
        ValueError: otherwise, or if it is larger than any config needs to be.
        OSError: if it cannot be read.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(plain := dict(pairs)) < len(pairs):
            raise ValueError("an object has the same key twice")
        return plain

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is not a JSON number")

    if (size := path.stat().st_size) > MAX_CONFIG_BYTES:
        raise ValueError(f"{path} has {size} bytes, but a config has at most {MAX_CONFIG_BYTES}: refused")
    try:
        text = path.read_bytes()
        check_numbers(text)
        content = json.loads(text, object_pairs_hook=unique, parse_constant=no_number)
        check_depth(content)
        return content
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {one_line(error)}") from error


def assemble(
    config: EncoderConfig, tensors: dict[str, Tensor], where: str, key_map: Callable[[str], str] = str
) -> Encoder:
    """Builds an encoder with exactly these weights.

    Args:
        config: The config of the encoder. Memory is allocated only after its sizes match those of the tensors.
        tensors: The state of the encoder, on the CPU; it is copied.
        where: The file, for messages.
        key_map: From a key of the encoder's state to the key in `tensors`.

    Raises:
        ValueError: if a tensor is missing, unknown, of another shape or type, or not finite.
    """
    try:
        with torch.device("meta"):  # shapes only: no memory and no random weights
            encoder = Encoder(config)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    expected = {key_map(name): (name, tensor) for name, tensor in encoder.state_dict().items()}
    shared = {name: (tensors[name], wanted) for name, (_, wanted) in expected.items() if name in tensors}
    problems = {
        "missing": [name for name in expected if name not in tensors],
        "unknown": [name for name in tensors if name not in expected],
        "of another shape": [
            f"{name} {tuple(found.shape)} instead of {tuple(wanted.shape)}"
            for name, (found, wanted) in shared.items()
            if found.shape != wanted.shape
        ],
        "of a type that is not allowed": [
            f"{name} {found.dtype}"
            for name, (found, wanted) in shared.items()
            if found.dtype not in STORED_AS[wanted.dtype]
        ],
    }
    if found := [f"{len(names)} {kind} ({first_names(names)})" for kind, names in problems.items() if names]:
        raise ValueError(f"{where} does not contain exactly the tensors of its encoder: {'; '.join(found)}")
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(
            f"{where} contains NaN or infinite weights in {len(broken)} tensors ({first_names(broken)}): refused"
        )
    state = {name: tensors[alias].to(tensor.dtype, copy=True) for alias, (name, tensor) in expected.items()}
    encoder.load_state_dict(state, assign=True)
    return encoder


def first_names(names: list[str], most: int = 3) -> str:
    """The first of several names, for a message."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
