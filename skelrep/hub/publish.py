"""Saving encoders to folders and publishing them on the Hugging Face Hub."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save

from skelrep.encoder import Encoder
from skelrep.files import read_text, write_together
from skelrep.hub.errors import checked_token, explain_errors
from skelrep.hub.load import CARD, CONFIG, WEIGHTS, find, first_names, read_folder
from skelrep.hub.model_card import model_card
from skelrep.messages import one_line
from skelrep.version import __version__


def save_pretrained(
    encoder: Encoder, folder: str | os.PathLike, *, card: str | None = None, replace_card: bool = False
) -> Path:
    """Writes config.json, model.safetensors and README.md, as `load_pretrained` reads them.

    All three are first written under temporary names, so that a failure leaves existing files unchanged.

    Args:
        encoder: The encoder to save; its weights are stored bit by bit.
        folder: The model folder; created if it does not exist. The card uses its name as the name of the model.
        card: Text of README.md; by default `model_card(encoder)`.
        replace_card: Overwrite an existing README.md, which somebody may have edited.

    Returns:
        The folder.

    Raises:
        ValueError: if a weight is not finite, or the config's `training` cannot be written as JSON.
    """
    folder = Path(folder).expanduser()
    # Copies, because safetensors refuses tensors that share memory or are not contiguous.
    tensors = {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in encoder.state_dict().items()
    }
    if broken := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
        raise ValueError(f"{len(broken)} tensors contain NaN or infinite weights ({first_names(broken)}): not saved")
    try:
        config = json.dumps(encoder.config.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(f"config.training cannot be written as JSON: {one_line(error)}") from error
    texts = {CONFIG: config + "\n"}
    if replace_card or not (folder / CARD).exists():
        texts[CARD] = model_card(encoder, name=folder.resolve().name) if card is None else card
    contents = {name: text.encode() for name, text in texts.items()}
    contents[WEIGHTS] = save(tensors, metadata={"format": "pt", "skelrep": __version__})
    write_together(folder, contents)
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
        encoder: An encoder, which gets a new card, or what `load_pretrained` takes, whose card is uploaded if somebody
            has edited it.
        repo_id: "organisation/name"; created if it does not exist.
        private: Whether a new repository is private; by default the organisation's setting. An existing repository is
            not changed; if it is public and this is True, it is refused.
        revision: Branch to commit to, created if it does not exist; by default "main".
        create_pr: Open a pull request instead.
        commit_message: By default "Upload encoder with skelrep ...".
        token: Access token with write permission; by default the one that `hf auth login` stored.
        replace_card: Overwrite an existing README.md of the repository.

    Returns:
        The address of the commit, or of the pull request.

    Raises:
        OSError: if the Hub cannot be reached or refuses the upload; then nothing is uploaded.
        ValueError: if the encoder cannot be saved (see `save_pretrained`), the repository is public despite `private`,
            or the Hub finds the card invalid.
    """
    own_card = None
    if not isinstance(encoder, Encoder):
        source, _ = find(encoder, None, names=(CONFIG, WEIGHTS, CARD), token=token)
        encoder = read_folder(source)
        own_card = read_text(source / CARD) if (source / CARD).is_file() else None
    card = model_card(encoder, name=repo_id)
    if own_card is not None:  # an edited card is kept, a generated one is written again for the new name
        title = re.search(r"^# (.+)$", own_card, re.MULTILINE)
        if title is None or own_card != model_card(encoder, name=title[1]):
            card = own_card
    with tempfile.TemporaryDirectory() as temporary:
        return upload(
            save_pretrained(encoder, temporary, card=card),
            (CONFIG, WEIGHTS, CARD),
            repo_id,
            private=private,
            revision=revision,
            create_pr=create_pr,
            commit_message=commit_message,
            token=token,
            replace_card=replace_card,
        )


def upload(
    folder: Path,
    names: Sequence[str],
    repo_id: str,
    *,
    what: str = "encoder",
    private: bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
    commit_message: str | None = None,
    token: str | bool | None = None,
    replace_card: bool = False,
) -> str:
    """Uploads files of a folder in one commit; for the other arguments and errors see `push_to_hub`.

    Args:
        folder: The folder.
        names: Paths of the files below the folder.
        repo_id: As in `push_to_hub`.
        what: What the files are, for the commit message.
        private: As in `push_to_hub`.
        revision: As in `push_to_hub`.
        create_pr: As in `push_to_hub`.
        commit_message: As in `push_to_hub`.
        token: As in `push_to_hub`.
        replace_card: As in `push_to_hub`.
    """
    from huggingface_hub import CommitOperationAdd, HfApi

    api = HfApi(token=checked_token(token), library_name="skelrep", library_version=__version__)
    with explain_errors(repo_id, revision):
        repo_id = api.create_repo(repo_id, private=private, exist_ok=True).repo_id
        if revision is not None and not create_pr:
            api.create_branch(repo_id, branch=revision, exist_ok=True)
        # Unlike `file_exists`, a listing cannot mistake an error for a missing card and so overwrite the card.
        info = api.model_info(repo_id, revision=revision)
        if private and not info.private:
            raise ValueError(f"{repo_id} exists and is public: nothing was uploaded; make it private on the Hub first")
        there = {file.rfilename for file in info.siblings or ()}
        kept = [name for name in names if name != CARD or replace_card or name not in there]
        # Not `upload_folder`, which may upload the files in several commits.
        commit = api.create_commit(
            repo_id,
            [CommitOperationAdd(name, folder / name) for name in kept],
            commit_message=commit_message or f"Upload {what} with skelrep {__version__}",
            revision=revision,
            create_pr=create_pr,
        )
    return commit.pr_url or commit.commit_url
