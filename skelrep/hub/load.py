"""Encoders from the box, a folder or the Hugging Face Hub, and back; model cards; import of CMD's training checkpoints.

Loading is strict: both files come from one commit, config.json has exactly the keys that are known, and every tensor is
there, of its shape, and finite. Anything else is an error, never a random weight, and no pickle is ever executed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from skelrep.encoder import Encoder, EncoderConfig, Source
from skelrep.encoder.device import as_device
from skelrep.encoder.modalities import MODALITIES
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.files import replacing
from skelrep.messages import nearest
from skelrep.preprocess import CMD_LINE, PreprocessConfig
from skelrep.skeletons import SKELETONS
from skelrep.version import __version__

PRETRAINED = Path(__file__).parents[1] / "pretrained"
CONFIG, WEIGHTS, CARD = "config.json", "model.safetensors", "README.md"
MOST_CONFIG_BYTES = 1_000_000  # a real one has some 3 kB; parsing a bomb would take the memory of a thousand encoders

# What a stored tensor may be for each type of the encoder's own. Half precision is only a smaller file.
STORED_AS = {torch.float32: (torch.float32, torch.float16, torch.bfloat16), torch.int64: (torch.int64,)}


# -- loading ----------------------------------------------------------------------------------------------------------


def bundled() -> list[str]:
    """Names of the encoders in the box, which need no network."""
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
        name_or_path: One of `bundled()`; else a folder with config.json and model.safetensors ("./name" if it is called
            as a bundled one; `~` is understood); else "organisation/name" on the Hugging Face Hub. A `Path` is always
            a folder.
        revision: Branch, tag or commit of the Hub repository. With a full commit hash that is in the cache nothing is
            asked of the network.
        device: Where to put it; by default the GPU if CUDA has one, else the CPU.
        cache_dir: Where downloads are kept; by default the Hub client's cache.
        token: Access token for a private repository; by default the one that `hf auth login` stored.
        local_files_only: Take it from the cache or fail. `HF_HUB_OFFLINE=1` means the same for a whole process.

    Returns:
        The encoder in evaluation mode; `encoder.source` says where it came from, with the Hub commit.

    Raises:
        FileNotFoundError: if there is no such name, folder, repository, revision or file, or it is not in the cache
            and the Hub cannot be asked.
        PermissionError: if the Hub does not accept the token.
        ConnectionError: if the Hub answered with an error or broke off.
        ValueError: if the name cannot be one, there is no such device, or the files are not exactly what this version
            of skelrep writes.
    """
    place = as_device(device)  # before anything is downloaded
    folder, source = _found(name_or_path, revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
    encoder = _read(folder)
    encoder.source = source
    return encoder.to(place)


def download(
    name_or_path: str | os.PathLike,
    folder: str | os.PathLike | None = None,
    *,
    revision: str | None = None,
    cache_dir: str | os.PathLike | None = None,
    token: str | bool | None = None,
) -> Path:
    """Fetches an encoder and its card, so that it loads without a network afterwards; the encoder is looked through.

    Args:
        name_or_path: What `load_pretrained` takes.
        folder: A folder of one's own to copy it into, bit by bit; made if it does not exist. The name of the Hub loads
            from the Hub client's cache, this folder by its own name and anywhere.
        revision: As in `load_pretrained`.
        cache_dir: As in `load_pretrained`.
        token: As in `load_pretrained`.

    Returns:
        `folder`, else where it lies: a folder, too, that `load_pretrained` takes.

    Raises:
        OSError: as `load_pretrained`.
        ValueError: as `load_pretrained`; nothing is copied then.
    """
    source, _ = _found(name_or_path, revision, names=(CONFIG, WEIGHTS, CARD), cache_dir=cache_dir, token=token)
    _read(source)
    if folder is None:
        return source
    folder = Path(folder).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:  # on leaving it, all are renamed or none
        for name in (CONFIG, WEIGHTS, CARD):
            if (source / name).is_file():  # the card may be missing
                original = files.enter_context((source / name).open("rb"))
                shutil.copyfileobj(original, files.enter_context(replacing(folder / name)))
    return folder


def _found(
    name_or_path: str | os.PathLike,
    revision: str | None,
    *,
    names: Sequence[str] = (CONFIG, WEIGHTS),
    local_files_only: bool = False,
    **options: Any,
) -> tuple[Path, Source]:
    """The folder that holds the encoder of this name, fetched if need be, and what to call where it came from."""
    name = os.fspath(name_or_path)
    path = Path(name).expanduser()
    in_the_box = isinstance(name_or_path, str) and name in bundled()
    if in_the_box or (name and path.is_dir()):
        if revision is not None:
            raise ValueError(f"{name} is no repository on the Hub, so it has no revision {revision!r}; leave it out")
        return (PRETRAINED / name, Source(name)) if in_the_box else (path, Source(str(path)))
    if isinstance(name_or_path, str) and re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, re.ASCII):
        folder = _download(name, revision, names, local_files_only=local_files_only, **options)
        return folder, Source(name, commit=folder.name)
    raise _no_such_encoder(name, path)


def _no_such_encoder(name: str, path: Path) -> OSError | ValueError:
    """What to tell somebody whose name is neither in the box nor a folder nor a Hub id."""
    if path.is_file():
        advice = "; a CMD training checkpoint is read by skelrep.hub.convert_cmd" if ".pt" in path.name else ""
        return ValueError(f"{name} is a file; pass the folder that holds {CONFIG} and {WEIGHTS}{advice}")
    if "://" in name or "@" in name:
        return ValueError(f"{name} is no Hub id: write organisation/name, and a branch, tag or commit as revision=")
    if re.fullmatch(r"[\w.-]+", name):
        hint = nearest(name, bundled()) or f" (bundled: {', '.join(bundled()) or 'none'})"
        return FileNotFoundError(
            f"there is no bundled encoder and no folder {name!r}{hint}; a Hub id is organisation/name"
        )
    return FileNotFoundError(f"there is no folder {name!r}, and a Hub id is organisation/name with exactly one slash")


def _download(
    repo_id: str, revision: str | None, names: Sequence[str], *, local_files_only: bool, **options: Any
) -> Path:
    """The snapshot folder of one commit, with config and weights in it; its name is the commit."""
    from huggingface_hub import snapshot_download

    # One call resolves a branch once, so that both files are of the same commit.
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
        with contextlib.suppress(FileNotFoundError):  # a commit never changes: look before asking the network
            folder = Path(snapshot(local_files_only=True))
            if not _missing(folder, names):
                return folder
    with _explained(repo_id, revision):
        folder = Path(snapshot(local_files_only=local_files_only))
    if missing := _missing(folder):  # the client returns half a snapshot from the cache without a word
        raise FileNotFoundError(
            f"{' and '.join(missing)} of {repo_id} at commit {folder.name[:8]} is missing: the repository holds no "
            "skelrep encoder, or the download was cut short; load it once more while online"
        )
    return folder


def _missing(folder: Path, names: Sequence[str] = (CONFIG, WEIGHTS)) -> list[str]:
    return [name for name in names if not (folder / name).is_file()]


@contextlib.contextmanager
def _explained(repo_id: str, revision: str | None = None) -> Iterator[None]:
    """Turns the Hub client's many errors into built-in ones of one sentence that says what to do."""
    from huggingface_hub import errors

    log_in = "log in with `hf auth login`, or pass token="
    try:
        yield
    except errors.GatedRepoError as error:
        raise PermissionError(f"{repo_id} is gated: ask for access on its page on the Hub, then {log_in}") from error
    except errors.RepositoryNotFoundError as error:
        raise FileNotFoundError(
            f"there is no folder {repo_id}, and on the Hub no such repository that you may see: "
            f"check the name, or, if it is private, {log_in}"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise FileNotFoundError(f"{repo_id} has no branch, tag or commit {revision!r} on the Hub") from error
    except errors.LocalEntryNotFoundError as error:
        raise FileNotFoundError(
            f"{repo_id}{f' at {revision}' if revision else ''} is not in the cache, or not all of it, and the Hub was "
            "not or could not be asked: load it once online, without local_files_only or HF_HUB_OFFLINE"
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise ConnectionError(f"{repo_id} cannot be reached while HF_HUB_OFFLINE is set; unset it") from error
    except errors.HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in (401, 403):
            raise PermissionError(f"the Hub refuses this token for {repo_id}: {log_in}") from error
        raise ConnectionError(f"the Hub answered with an error about {repo_id}: {_one_line(error)}") from error
    except errors.LocalTokenNotFoundError as error:
        raise PermissionError(f"no token is stored for the Hub: {log_in}") from error
    except Exception as error:
        # The client's transport was requests, then httpx, then httpx2, all with errors of their own.
        if isinstance(error, ValueError) or getattr(error, "errno", None) is not None:  # a bad name; a full disk
            raise
        kind = type(error).__name__
        raise ConnectionError(f"no proper answer from the Hub about {repo_id} ({kind}: {_one_line(error)})") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _read(folder: Path) -> Encoder:
    """The encoder that a folder holds."""
    if missing := _missing(folder):
        raise FileNotFoundError(f"{folder} is no skelrep encoder: it has no {' and no '.join(missing)}")
    config = _read_config(folder / CONFIG)
    path = folder / WEIGHTS
    try:
        tensors = load_file(path)  # mapped, not read: the header is checked against the file's length, no more
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file ({_one_line(error)}); fetch it again") from error
    return _assembled(config, tensors, str(path))


def _read_config(path: Path) -> EncoderConfig:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(plain := dict(pairs)) < len(pairs):
            raise ValueError("a key stands twice in one object")
        return plain

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is no JSON number")

    if (size := path.stat().st_size) > MOST_CONFIG_BYTES:
        raise ValueError(f"{path} has {size} bytes, more than any config needs: refused")
    try:
        plain = json.loads(path.read_bytes(), object_pairs_hook=unique, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not valid JSON: {_one_line(error)}") from error
    try:
        return EncoderConfig.from_dict(plain)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _assembled(
    config: EncoderConfig, tensors: dict[str, Tensor], where: str, spelling: Callable[[str], str] = str
) -> Encoder:
    """An encoder with exactly these weights.

    Args:
        config: What to build. Nothing is allocated before its sizes are found to be those of the tensors.
        tensors: Its state, on the CPU; what it is copied from may disappear afterwards.
        where: The file, for messages.
        spelling: How `tensors` names what the encoder calls by its argument.

    Raises:
        ValueError: if a tensor is missing, too many, of another shape or type, or not finite.
    """
    try:
        with torch.device("meta"):  # shapes without memory, and without drawing random weights
            encoder = Encoder(config)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    expected = {spelling(name): (name, tensor) for name, tensor in encoder.state_dict().items()}
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
    if found := [f"{len(names)} {kind} ({_first(names)})" for kind, names in problems.items() if names]:
        raise ValueError(f"{where} does not hold exactly the tensors of its encoder: {'; '.join(found)}")
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{where} holds NaN or infinite weights in {len(broken)} tensors ({_first(broken)}): refused")
    state = {name: tensors[alias].to(tensor.dtype, copy=True) for alias, (name, tensor) in expected.items()}
    encoder.load_state_dict(state, assign=True)
    return encoder


def _first(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


# -- saving -----------------------------------------------------------------------------------------------------------


def save_pretrained(
    encoder: Encoder, folder: str | os.PathLike, *, card: str | None = None, replace_card: bool = False
) -> Path:
    """Writes config.json, model.safetensors and README.md, as `load_pretrained` reads them.

    All three are written under temporary names first, so that a failure leaves what was there.

    Args:
        encoder: What to save; weights are stored as they are, bit by bit.
        folder: Where; made if it does not exist. Its name becomes that of the model in the card.
        card: Text of README.md; by default `model_card(encoder)`.
        replace_card: Write README.md even if there is one, which people may have edited.

    Returns:
        The folder.

    Raises:
        ValueError: if a weight is not finite, or the config's `training` holds what JSON cannot.
    """
    folder = Path(folder).expanduser()
    # Copies, because safetensors refuses tensors that share memory or do not lie row by row.
    tensors = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in encoder.state_dict().items()
    }
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{len(broken)} tensors hold NaN or infinite weights ({_first(broken)}): not saved")
    try:
        config = json.dumps(encoder.config.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config.training cannot be written as JSON: {_one_line(error)}") from error
    texts = {CONFIG: config + "\n"}
    if replace_card or not (folder / CARD).exists():
        texts[CARD] = model_card(encoder, name=folder.resolve().name) if card is None else card
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as files:  # on leaving it, all are renamed or none
        contents = {name: text.encode() for name, text in texts.items()}
        contents[WEIGHTS] = save(tensors, metadata={"format": "pt", "skelrep": __version__})
        for name, content in contents.items():
            file = files.enter_context(replacing(folder / name))
            file.write(content)
            file.flush()  # a full disk is noticed before the first is renamed
    return folder


def push_to_hub(
    encoder: Encoder | str | os.PathLike,
    repo_id: str,
    *,
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str | None = None,
    token: str | bool | None = None,
    replace_card: bool = False,
) -> str:
    """Uploads an encoder to the Hugging Face Hub in one commit.

    Args:
        encoder: What to upload: an encoder, which gets a new card, or what `load_pretrained` takes, whose card is
            uploaded if people have edited it.
        repo_id: "organisation/name"; made if it does not exist.
        private: Whether a new repository is private; by default as the organisation has set it. One that exists stays
            as it is, and is refused if it is public and this is True.
        revision: Branch to commit to, made if it does not exist; by default "main".
        create_pr: Open a pull request instead.
        commit_message: By default "Upload encoder with skelrep ...".
        token: Access token with the right to write; by default the one that `hf auth login` stored.
        replace_card: Write README.md even if the repository has one.

    Returns:
        The address of the commit, or of the pull request.

    Raises:
        OSError: if the Hub cannot be reached or refuses; nothing is uploaded then.
        ValueError: if the encoder cannot be saved (see `save_pretrained`), the repository is public and must not be, or
            the Hub finds the card invalid.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    own_card = None
    if not isinstance(encoder, Encoder):
        source, _ = _found(encoder, None, names=(CONFIG, WEIGHTS, CARD), token=token)
        encoder = _read(source)
        own_card = (source / CARD).read_text(encoding="utf-8") if (source / CARD).is_file() else None
    card = model_card(encoder, name=repo_id)
    if own_card is not None:  # as it was written for the folder, or has somebody edited it?
        title = re.search(r"^# (.+)$", own_card, re.MULTILINE)
        if title is None or own_card != model_card(encoder, name=title[1]):
            card = own_card
    api = HfApi(token=token, library_name="skelrep", library_version=__version__)
    with tempfile.TemporaryDirectory() as temporary:
        folder = save_pretrained(encoder, temporary, card=card)
        with _explained(repo_id, revision):
            repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
            if revision is not None and not create_pr:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            # A listing, unlike `file_exists`, takes no error for "there is no card", and so never overwrites one.
            info = api.model_info(repo_id, revision=revision)
            if private and not info.private:
                raise ValueError(
                    f"{repo_id} exists and is public: nothing was uploaded; make it private on the Hub first"
                )
            there = {file.rfilename for file in info.siblings or ()}
            names = [CONFIG, WEIGHTS] + ([CARD] if replace_card or CARD not in there else [])
            # Not `upload_folder`, which may spread the files over several commits.
            commit = api.create_commit(
                repo_id,
                [CommitOperationAdd(name, folder / name) for name in names],
                commit_message=commit_message or f"Upload encoder with skelrep {__version__}",
                revision=revision,
                create_pr=create_pr,
            )
    return commit.pr_url or commit.commit_url


# -- model cards ------------------------------------------------------------------------------------------------------


def model_card(encoder: Encoder, *, name: str | None = None) -> str:
    """The text of a README.md for the Hub: metadata in YAML, then what people should know.

    Beside the config it reads these keys of `encoder.config.training`, all of them optional; one that is absent leaves
    its part out:

    - `license` (str): of the weights, as the Hub spells licences: "apache-2.0", "cc-by-4.0", "other".
    - `data` (list of objects): what it was trained on; `name` and, as known, `licence`, `hours`, `url`, ... (columns of
      a table, in this order).
    - `recipe` (str): how it was trained, in a sentence.
    - `hyper_parameters` (object): numbers and words of that recipe.
    - `results` (list of objects): `dataset`, `protocol`, `metric`, `value` and, if known, `sd`, the standard deviation.
    - `notes` (list of str): what it is good at, and what bad.

    Args:
        encoder: The encoder.
        name: What load_pretrained is to be given in the example; by default where the encoder came from.

    Raises:
        ValueError: if one of these keys holds something else.
    """
    config, name = encoder.config, name or encoder.source.name
    training, preprocess = config.training, config.preprocess
    data = _entries(training, "data", ("name",))
    results = _entries(training, "results", ("dataset", "protocol", "metric", "value"))
    size = sum(parameter.numel() for parameter in encoder.parameters())
    streams = f"{', '.join(config.modalities)} stream{'s' * (len(config.modalities) > 1)}"
    kind = config.to_dict()["backbone"]["kind"]
    parts = [
        _front_matter(name, training, data, results),
        f"# {name}",
        "A [skelrep](https://pypi.org/project/skelrep/) encoder: it turns a clip of 3-D skeletons into "
        f"{encoder.dim} numbers, so that clips of similar actions lie close together. "
        f"{kind.capitalize()} backbone, {streams}, {size / 1e6:.2f} M parameters.",
        "## Usage\n\n```python\nfrom skelrep import embed, load_pretrained\n\n"
        f'encoder = load_pretrained("{name}")\n'
        f'vectors = embed("poses.npy", encoder)  # or (persons, frames, joints, 3) arrays; gives (N, {encoder.dim})\n'
        "```",
        f"## Input\n\nThe encoder's skeleton is `{config.skeleton.name}`, {len(config.skeleton)} joints: "
        f"{', '.join(config.skeleton.joints)}. Poses on another known skeleton are mapped to it by joint name.",
        "## Preprocessing\n\nPart of the checkpoint, applied by `embed`:\n\n" + _preprocessing(preprocess),
    ]
    if recipe := training.get("recipe"):
        parts.append(f"## Training\n\n{recipe}")
    if hyper := training.get("hyper_parameters"):
        if not isinstance(hyper, dict):
            raise ValueError(f"training['hyper_parameters'] must be an object, got {hyper!r}")
        parts.append("## Hyper-parameters\n\n" + _table([{"name": key, "value": hyper[key]} for key in hyper]))
    if data:
        parts.append("## Training data\n\n" + _table(data))
    if results:
        rows = [
            {key: row[key] for key in ("dataset", "protocol", "metric")}
            | {"value": f"{row['value']}" + (f" ± {row['sd']}" if row.get("sd") is not None else "")}
            for row in results
        ]
        parts.append("## Results\n\n" + _table(rows))
    if notes := training.get("notes"):
        if not isinstance(notes, (list, tuple)):
            raise ValueError(f"training['notes'] must be a list of sentences, got {notes!r}")
        parts.append("## Good and bad at\n\n" + "\n".join(f"- {note}" for note in notes))
    if licence := training.get("license"):
        parts.append(f"## Licence\n\nThe weights: {licence}. The training data have their own.")
    return "\n\n".join(parts) + "\n"


def _entries(training: dict[str, Any], key: str, needed: tuple[str, ...]) -> list[dict[str, Any]]:
    entries = training.get(key) or []
    if not isinstance(entries, (list, tuple)) or not all(
        isinstance(entry, dict) and all(name in entry for name in needed) for entry in entries
    ):
        raise ValueError(f"training[{key!r}] must be a list of objects that have {', '.join(needed)}; got {entries!r}")
    return list(entries)


def _front_matter(
    name: str, training: dict[str, Any], data: list[dict[str, Any]], results: list[dict[str, Any]]
) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    metadata = ModelCardData(
        library_name="skelrep",
        pipeline_tag="feature-extraction",
        tags=["skeleton", "action-recognition", "self-supervised", "i2md"],
        license=training.get("license"),
        datasets=[_hub_id(row["name"]) for row in data] or None,
        metrics=["accuracy"] if results else None,
        model_name=name.split("/")[-1],
        eval_results=[
            EvalResult(
                task_type="feature-extraction",
                task_name="Action recognition on frozen embeddings",
                dataset_type=_hub_id(row["dataset"]),
                dataset_name=str(row["dataset"]),
                metric_type="accuracy" if "accuracy" in str(row["metric"]).lower() else _hub_id(row["metric"]),
                metric_name=f"{row['metric']} ({row['protocol']})",
                metric_value=row["value"],
            )
            for row in results
        ]
        or None,
    )
    return f"---\n{metadata.to_yaml().strip()}\n---"


def _hub_id(name: Any) -> str:
    """A name in the form of a Hub id, which the Hub insists on."""
    parts = [re.sub(r"[^\w.]+", "-", part, flags=re.ASCII).strip("-.") for part in str(name).split("/")]
    return "/".join(parts) if len(parts) == 2 else "-".join(parts).lower()


def _table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table; columns are all keys in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([row.get(column, "") for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(_one_cell(cell) for cell in line)} |" for line in lines)


def _one_cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _preprocessing(preprocess: PreprocessConfig) -> str:
    def way(ends: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
        return " to ".join(place(joints) for joints in ends)

    def place(joints: tuple[str, ...]) -> str:
        return joints[0] if len(joints) == 1 else f"the middle of {', '.join(joints)}"

    whole = "The whole clip" if preprocess.crop == 1 else f"The middle {preprocess.crop:.0%} of the clip"
    return "\n".join(
        f"- {line}"
        for line in (
            f"{whole}, linearly resampled to {preprocess.frames} frames.",
            f"At most {preprocess.persons} person{'s' * (preprocess.persons > 1)}, the most active ones, "
            + ("each moved by its own joints." if preprocess.per_person else "all moved by the first one's joints."),
            f"Origin of every frame: {place(preprocess.center)}.",
            f"Turned so that {way(preprocess.up)}"
            + (f" (or, if never seen, {way(preprocess.up_else)})" if preprocess.up_else else "")
            + f" is up and {way(preprocess.right)} points to +x, by "
            + ("the first frame." if preprocess.align == "first" else "the mean over the clip."),
            f"Scaled so that {way(preprocess.scale)} is 1." if preprocess.scale else "Not scaled.",
        )
    )


# -- CMD checkpoints --------------------------------------------------------------------------------------------------

_CMD_STREAMS = {"joint": "encoder_q", "bone": "encoder_q_bone", "motion": "encoder_q_motion"}


def convert_cmd(checkpoint: str | os.PathLike, folder: str | os.PathLike | None = None) -> Encoder:
    """Imports a training checkpoint in the format of CMD's public code (ECCV 2022, arXiv 2208.12448).

    Its query encoders become the streams, as many of the three as there are; projection heads, key encoders, queues and
    optimiser are training's and are left out. The code steps a "bidirectional" GRU frame by frame, so its `*_reverse`
    weights go to the second forward GRU. Streams are fused by their mean, as its `view="all"` does; a single stream,
    such as the joint stream of its kNN protocol, is then CMD's feature to the number.

    Args:
        checkpoint: The file, `checkpoint_0450.pth.tar` or the like; nothing but tensors and plain containers is ever
            unpickled.
        folder: Where to save the encoder with `save_pretrained`, if anywhere.

    Returns:
        The encoder, on the CPU.

    Raises:
        OSError: if the file cannot be read.
        ValueError: if it is no such checkpoint, or a tensor is missing, unknown, of another shape or not finite.
    """
    checkpoint = Path(checkpoint).expanduser()
    try:
        # Key encoders and optimiser, three quarters of the file, are never read where it can be mapped.
        stored = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(checkpoint))
    except OSError:
        raise
    except Exception as error:  # the unpickler has no error of its own: damage shows as anything
        raise ValueError(
            f"{checkpoint} is no plain PyTorch checkpoint: it is damaged, or holds objects beside tensors and plain "
            "containers, which are refused because they could run code; save its state_dict alone"
        ) from error
    state = stored.get("state_dict") if isinstance(stored, dict) else None
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in state.items()
    ):
        raise ValueError(f"{checkpoint} is no CMD checkpoint: it has no state_dict of named tensors")
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        name = name.removeprefix("module.")  # of DistributedDataParallel
        if re.match(r"encoder_k(_motion|_bone)?\.|queue|encoder_q(_motion|_bone)?\.fc\.", name):
            continue
        name = name.replace(".encoder.input_norm.", ".input_norm.")  # both spellings exist
        if name in tensors:
            raise ValueError(f"{checkpoint} holds {name} twice, with and without a prefix")
        tensors[name] = tensor
    present = tuple(name for name in MODALITIES if any(key.startswith(_CMD_STREAMS[name] + ".") for key in tensors))
    recurrent = next((tensors.get(f"{_CMD_STREAMS[name]}.encoder.gru.weight_hh_l0") for name in present), None)
    if recurrent is None or recurrent.ndim != 2:
        raise ValueError(f"{checkpoint} is no CMD checkpoint: it has no encoder_q...encoder.gru.weight_hh_l0 (3H x H)")
    layers = {match[1] for name in tensors if (match := re.search(r"\.gru\.weight_ih_l(\d+)$", name))}
    config = EncoderConfig(
        skeleton=SKELETONS["ntu-25"],
        modalities=present,
        preprocess=CMD_LINE,
        backbone=RecurrentConfig(hidden=recurrent.shape[1], layers=max(len(layers), 1)),
        fusion="mean",
        training={
            "recipe": f"CMD (ECCV 2022, arXiv 2208.12448), imported from the training checkpoint {checkpoint.name}.",
            **({"hyper_parameters": {"epoch": stored["epoch"]}} if isinstance(stored.get("epoch"), int) else {}),
        },
    )
    encoder = _assembled(config, tensors, str(checkpoint), _cmd_name)
    encoder.source = Source(str(checkpoint))
    if folder is not None:
        save_pretrained(encoder, folder)
    return encoder


def _cmd_name(name: str) -> str:
    """What CMD calls a tensor of the encoder: streams.joint.layers.2.1.bias_hh_l0 is encoder_q...bias_hh_l2_reverse."""
    _, stream, part, *rest = name.split(".")
    if part == "norm":
        return f"{_CMD_STREAMS[stream]}.input_norm.{rest[0]}"
    layer, half, weight = rest
    return f"{_CMD_STREAMS[stream]}.encoder.gru.{weight.removesuffix('0')}{layer}{'_reverse' * int(half)}"
