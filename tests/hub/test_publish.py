"""Saving and pushing, through the real huggingface_hub client and a Hub on loopback."""

import json

import numpy as np
import pytest
import torch
from safetensors import safe_open

from skelrep.encoder import EncoderConfig
from skelrep.hub import load_pretrained, model_card, publish, push_to_hub, save_pretrained
from skelrep.hub.load import CARD, CONFIG, WEIGHTS
from skelrep.version import __version__
from tests.hub.saved import REPO, same, shifted
from tests.hub_server import HubServer

# -- saving -----------------------------------------------------------------------------------------------------------


def test_contents_of_a_saved_folder(folder, tiny_encoder):
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG, WEIGHTS, CARD])
    assert EncoderConfig.from_dict(json.loads((folder / CONFIG).read_text())) == tiny_encoder.config
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "skelrep": __version__}


def test_shared_and_scattered_tensors_are_saved(tiny_encoder, tmp_path):
    tiny_encoder.to(memory_format=torch.channels_last)
    entry, other = (tiny_encoder.streams[name].entry for name in ("joint", "bone"))
    other.weight = entry.weight
    entry.bias = torch.nn.Parameter(torch.randn(32)[::2])
    save_pretrained(tiny_encoder, tmp_path / "saved")
    assert same(load_pretrained(tmp_path / "saved"), tiny_encoder)


def test_an_edited_card_is_kept(tiny_encoder, folder):
    (folder / CARD).write_text("mine")
    save_pretrained(tiny_encoder, folder, card="new")
    assert (folder / CARD).read_text() == "mine"
    save_pretrained(tiny_encoder, folder, card="new", replace_card=True)
    assert (folder / CARD).read_text() == "new"
    save_pretrained(tiny_encoder, folder, replace_card=True)
    assert (folder / CARD).read_text() == model_card(tiny_encoder, name="copy")


def test_a_failure_leaves_what_was_there(tiny_encoder, folder, monkeypatch):
    before = {path: path.read_bytes() for path in folder.iterdir()}

    def full(*args, **kwargs):
        raise OSError("no space left")

    monkeypatch.setattr(publish, "save", full)
    with pytest.raises(OSError, match="no space left"):
        save_pretrained(shifted(tiny_encoder), folder, card="new", replace_card=True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_invalid_content_is_not_saved(tiny_config, tiny_encoder, tmp_path):
    for unfit in (np.float32(1), {1, 2}, float("nan")):
        tiny_config.training["seed"] = unfit
        with pytest.raises(ValueError, match="JSON"):
            save_pretrained(tiny_encoder, tmp_path / "saved")
        del tiny_config.training["seed"]
    with torch.no_grad():
        tiny_encoder.streams["joint"].entry.bias[0] = torch.nan
    with pytest.raises(ValueError, match=r"streams\.joint\.entry\.bias"):
        save_pretrained(tiny_encoder, tmp_path / "saved")
    assert not (tmp_path / "saved").exists()


# -- the Hub: pushing -------------------------------------------------------------------------------------------------


def test_pushed_and_loaded_bit_by_bit(hub: HubServer, tiny_encoder):
    address = push_to_hub(tiny_encoder, REPO)
    sha = hub.repositories[REPO].branches["main"]
    assert address == f"{hub.url}/{REPO}/commit/{sha}"
    assert len(hub.repositories[REPO].commits) == 2  # the repository's own first one, and ours
    assert sorted(hub.files(REPO)) == sorted([".gitattributes", CONFIG, WEIGHTS, CARD])
    assert f'load_pretrained("{REPO}")' in hub.files(REPO)[CARD].decode()
    encoder = load_pretrained(REPO)
    assert same(encoder, tiny_encoder)
    assert encoder.source == (REPO, sha)


def test_a_push_keeps_the_card(hub: HubServer, tiny_encoder):
    hub.commit(REPO, {CARD: b"mine"})
    push_to_hub(tiny_encoder, REPO)
    assert hub.files(REPO)[CARD] == b"mine"
    assert WEIGHTS in hub.files(REPO)
    push_to_hub(tiny_encoder, REPO, replace_card=True)
    assert hub.files(REPO)[CARD].decode() == model_card(tiny_encoder, name=REPO)


@pytest.mark.parametrize("failing", ["GET /api/models", "/preupload/"])
def test_a_failed_listing_prevents_the_push(hub: HubServer, tiny_encoder, failing, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # the client's between its attempts
    hub.commit(REPO, {CARD: b"mine"})
    hub.failing = failing
    with pytest.raises(ConnectionError, match=REPO):
        push_to_hub(tiny_encoder, REPO)
    assert hub.files(REPO) == {CARD: b"mine"}
    assert not any("/commit/" in line for line in hub.requests)


def test_branches_and_pull_requests(hub: HubServer, tiny_encoder):
    push_to_hub(tiny_encoder, REPO)
    before = hub.repositories[REPO].branches["main"]
    shifted(tiny_encoder)
    push_to_hub(tiny_encoder, REPO, revision="trial", commit_message="Trial")
    push_to_hub(tiny_encoder, REPO, revision="trial")
    assert same(load_pretrained(REPO, revision="trial"), tiny_encoder)
    assert push_to_hub(tiny_encoder, REPO, create_pr=True) == f"{hub.url}/{REPO}/discussions/1"
    assert same(load_pretrained(REPO, revision="refs/pr/1"), tiny_encoder)
    assert hub.repositories[REPO].branches["main"] == before
    assert not same(load_pretrained(REPO), tiny_encoder)


def test_private_pushes_and_refused_ones(hub: HubServer, tiny_encoder):
    push_to_hub(tiny_encoder, REPO, private=True, token="hf_secret")
    assert hub.repositories[REPO].readers == {"hf_secret"}
    with pytest.raises(FileNotFoundError, match="hf auth login"):
        push_to_hub(tiny_encoder, REPO)
    with pytest.raises(PermissionError, match="refuses this token"):
        push_to_hub(tiny_encoder, "lab/new", token="hf_wrong")
    with pytest.raises(OSError, match="lab/new"):
        push_to_hub(tiny_encoder, "lab/new", token=False)
    hub.stop()
    with pytest.raises(ConnectionError, match="lab/new"):
        push_to_hub(tiny_encoder, "lab/new")


def test_a_push_to_a_bad_name(hub: HubServer, tiny_encoder):
    with pytest.raises(ValueError):
        push_to_hub(tiny_encoder, "a/b/c")
    assert hub.requests == []


def test_a_folder_is_pushed_with_its_card_if_people_edited_it(hub: HubServer, tiny_encoder, tmp_path):
    folder = save_pretrained(tiny_encoder, tmp_path / "mine")
    push_to_hub(folder, REPO)
    assert same(load_pretrained(REPO), tiny_encoder)
    assert hub.files(REPO)[CARD].decode() == model_card(tiny_encoder, name=REPO)  # not the folder's name
    folder.rename(tmp_path / "renamed")
    push_to_hub(tmp_path / "renamed", "lab/second")
    assert hub.files("lab/second")[CARD].decode() == model_card(tiny_encoder, name="lab/second")
    edited = (tmp_path / "renamed" / CARD).read_text() + "\nAsk us before you use it for gaits.\n"
    (tmp_path / "renamed" / CARD).write_text(edited)
    push_to_hub(str(tmp_path / "renamed"), "lab/third")
    assert hub.files("lab/third")[CARD].decode() == edited
    (tmp_path / "renamed" / CARD).unlink()
    push_to_hub(tmp_path / "renamed", "lab/fourth")
    assert f'load_pretrained("{"lab/fourth"}")' in hub.files("lab/fourth")[CARD].decode()


def test_a_private_push_to_a_public_repository_is_refused(hub: HubServer, tiny_encoder):
    before = hub.commit(REPO, {"notes.txt": b""})
    with pytest.raises(ValueError, match="exists and is public: nothing was uploaded"):
        push_to_hub(tiny_encoder, REPO, private=True)
    assert hub.repositories[REPO].branches == {"main": before}
    push_to_hub(tiny_encoder, "lab/secret", private=True)
    push_to_hub(tiny_encoder, "lab/secret", private=True)
    assert hub.repositories["lab/secret"].readers is not None
