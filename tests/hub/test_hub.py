"""Loading, saving, pushing and model cards, through the real huggingface_hub client and a Hub on loopback."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file

from skelrep.cli import main
from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.hub import bundled, load_pretrained, model_card, push_to_hub, save_pretrained
from skelrep.hub import load as skelrep_hub
from skelrep.hub.load import CARD, CONFIG, WEIGHTS
from tests.hub_server import HubServer

REPO = "lab/encoder"
TRAINING = {
    "license": "cc-by-4.0",
    "data": [{"name": "Bandai-Namco 2", "licence": "CC BY-NC 4.0", "hours": 3.2}, {"name": "org/set", "url": "x|y"}],
    "recipe": "I2MD for 60 epochs: on one CPU.",
    "hyper_parameters": {"epochs": 60, "lr": 1e-3},
    "results": [
        {"dataset": "UTD-MHAD", "protocol": "cross-subject", "metric": "1-NN accuracy", "value": 81.25, "sd": 0.4},
        {"dataset": "UTD-MHAD", "protocol": "linear: frozen", "metric": "accuracy", "value": 88.5},
    ],
    "notes": ["Good at whole-body actions.", "Bad at hands: it sees none."],
}


def files_of(encoder: Encoder, folder: Path) -> dict[str, bytes]:
    save_pretrained(encoder, folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(a: Encoder, b: Encoder) -> bool:
    mine, yours = a.state_dict(), b.state_dict()
    return (
        a.config == b.config and list(mine) == list(yours) and all(torch.equal(mine[key], yours[key]) for key in mine)
    )


def shifted(encoder: Encoder) -> Encoder:
    """The next version of an encoder."""
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter += 1
    return encoder


@pytest.fixture
def files(tiny_encoder: Encoder, tmp_path: Path) -> dict[str, bytes]:
    return files_of(tiny_encoder, tmp_path / "original")


@pytest.fixture
def folder(files: dict[str, bytes], tmp_path: Path) -> Path:
    """A saved encoder for the tests to damage."""
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    return tmp_path / "copy"


def with_config(folder: Path, **changes) -> Path:
    """Changes config.json: values by path, `preprocess__frames=32`; `...` removes the key."""
    config = json.loads((folder / CONFIG).read_text())
    for path, value in changes.items():
        *way, last = path.split("__")
        place = config
        for key in way:
            place = place[key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
    (folder / CONFIG).write_text(json.dumps(config))
    return folder


def with_tensors(folder: Path, change) -> Path:
    tensors = {name: tensor.clone() for name, tensor in load_file(folder / WEIGHTS).items()}
    change(tensors)
    save_file(tensors, folder / WEIGHTS)
    return folder


def in_a_process(code: str, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, timeout=120
    )


# -- folders and the box ----------------------------------------------------------------------------------------------


def test_saved_and_loaded_bit_by_bit(tiny_encoder, tiny_recurrent_encoder, tmp_path):
    for name, encoder in (("tiny", tiny_encoder), ("recurrent", tiny_recurrent_encoder)):
        assert save_pretrained(encoder, tmp_path / "new" / name) == tmp_path / "new" / name
        loaded = load_pretrained(tmp_path / "new" / name, device="cpu")
        assert same(loaded, encoder)
        assert not loaded.training
        assert loaded.source == (str(tmp_path / "new" / name), None)
        for name, parameter in encoder.named_parameters():
            twin = loaded.get_parameter(name)
            assert (twin.requires_grad, twin.device) == (parameter.requires_grad, parameter.device)
        poses = torch.randn(2, 2, 64, 15, 3)
        with torch.no_grad():
            assert all(torch.equal(loaded(poses)[key], encoder(poses)[key]) for key in encoder.config.modalities)


def test_a_loaded_encoder_does_not_depend_on_its_files(folder, tiny_encoder):
    loaded = load_pretrained(folder)
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(10)
    assert same(loaded, tiny_encoder)


def test_home_is_understood(folder, monkeypatch, tiny_encoder):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert same(load_pretrained("~/copy"), tiny_encoder)
    save_pretrained(tiny_encoder, "~/other")
    assert (folder.parent / "other" / WEIGHTS).is_file()


def test_every_bundled_encoder_loads():
    for name in bundled():
        encoder = load_pretrained(name, device="cpu")
        assert encoder.source == (name, None)
        front = yaml.safe_load((skelrep_hub.PRETRAINED / name / CARD).read_text().split("---\n")[1])
        assert front["library_name"] == "skelrep"


def test_bundled_names_come_first(folder, monkeypatch, tmp_path):
    (tmp_path / "box").mkdir()
    folder.rename(tmp_path / "box" / "tiny-1")
    (tmp_path / "elsewhere" / "tiny-1").mkdir(parents=True)
    monkeypatch.setattr(skelrep_hub, "PRETRAINED", tmp_path / "box")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert bundled() == ["tiny-1"]
    assert load_pretrained("tiny-1").source.name == "tiny-1"
    with pytest.raises(FileNotFoundError, match="no config.json and no model.safetensors"):
        load_pretrained("./tiny-1")
    with pytest.raises(FileNotFoundError, match="no config.json"):
        load_pretrained(Path("tiny-1"))  # a Path is a folder
    with pytest.raises(FileNotFoundError, match="did you mean 'tiny-1'"):
        load_pretrained("tiny-l")
    with pytest.raises(FileNotFoundError, match=r"bundled: tiny-1"):
        load_pretrained("resnet")
    with pytest.raises(ValueError, match="leave it out"):
        load_pretrained("tiny-1", revision="main")


@pytest.mark.parametrize("name", ["a/b/c", "a/../b", "/nowhere/at/all", "", "a/b c", "-a/b", "ä/b", "a\\b", "a/b/"])
def test_what_cannot_be_a_name(hub, name):
    with pytest.raises(FileNotFoundError, match="organisation/name"):
        load_pretrained(name)
    assert hub.requests == []


def test_addresses_and_revisions_in_names(hub):
    for name in ("https://huggingface.co/lab/encoder", "lab/encoder@main"):
        with pytest.raises(ValueError, match="revision="):
            load_pretrained(name)
    for name in ("lab/en..coder", "lab/en--coder", "lab/encoder."):
        with pytest.raises(ValueError):
            load_pretrained(name)
    assert hub.requests == []


def test_a_file_is_no_folder(folder, tmp_path):
    with pytest.raises(ValueError, match="is a file; pass the folder"):
        load_pretrained(folder / WEIGHTS)
    (tmp_path / "checkpoint_0450.pth.tar").touch()
    with pytest.raises(ValueError, match="convert_cmd"):
        load_pretrained(tmp_path / "checkpoint_0450.pth.tar")


def test_no_such_device_and_no_revision_of_a_folder(hub, folder):
    with pytest.raises(ValueError, match="no device 'abacus'"):
        load_pretrained(REPO, device="abacus")
    with pytest.raises(ValueError, match="leave it out"):
        load_pretrained(folder, revision="main")
    assert hub.requests == []


# -- strictness -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_pretrained(folder)


ENTRY = "streams.joint.entry.weight"
DEPTH = "streams.bone.blocks.0.norm.num_batches_tracked"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop(ENTRY), f"1 missing ({ENTRY})"),
        (lambda tensors: [tensors.pop(key) for key in list(tensors) if "bone" in key], "missing (streams.bone.norm."),
        (lambda tensors: tensors.clear(), "missing (streams.joint.norm.weight, "),
        (lambda tensors: tensors.update(more=torch.zeros(1)), "1 unknown (more)"),
        (lambda tensors: tensors.update({ENTRY: torch.zeros(16, 45, 9)}), "(16, 45, 9) instead of (16, 405)"),
        (lambda tensors: tensors.update({ENTRY: tensors[ENTRY].double()}), f"{ENTRY} torch.float64"),
        (lambda tensors: tensors.update({ENTRY: tensors[ENTRY].long()}), f"{ENTRY} torch.int64"),
        (lambda tensors: tensors.update({DEPTH: tensors[DEPTH].float()}), f"{DEPTH} torch.float32"),
        (lambda tensors: tensors[ENTRY].view(-1)[3:4].fill_(torch.nan), f"infinite weights in 1 tensors ({ENTRY})"),
        (lambda tensors: tensors[ENTRY].view(-1)[3:4].fill_(-torch.inf), f"infinite weights in 1 tensors ({ENTRY})"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_named(folder, change, message):
    with pytest.raises(ValueError) as caught:
        load_pretrained(with_tensors(folder, change))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout": 0.1}, "unknown key 'dropout'"),
        ({"preprocess__flip": True}, "unknown key 'flip'"),
        ({"backbone__kind": "transformer"}, "'transformer'"),
        ({"fusion": ...}, "lacks fusion"),
        ({"skeleton__parents": ...}, "lacks parents"),
        ({"format_version": 2}, "format_version is 2"),
        ({"format_version": ...}, "format_version is None"),
        ({"preprocess__frames": "64"}, "must be of type int"),
        ({"modalities": ["joint", "smell"]}, "smell"),
        ({"modalities": ["joint", "bone"]}, "unknown (streams.motion"),
        ({"backbone__width": 32}, "streams.joint.entry.bias (16,) instead of (32,)"),
        ({"backbone__width": 4000}, "of another shape"),  # 4 GB, of which nothing is allocated
        ({"backbone__width": 10**6}, "parameters"),
        ({"backbone__width": 10**12}, "width must be"),
        ({"backbone__blocks": 10**9, "backbone__width": 1}, "got 1000000000"),
        ({"backbone__kernel": 10**8 + 1}, "parameters"),
    ],
)  # fmt: skip
def test_configs_that_do_not_fit_are_refused(folder, changes, message):
    with pytest.raises(ValueError) as caught:
        load_pretrained(with_config(folder, **changes))
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 10**5, b"\xff\xfe{", "1" * 10**4, " " * 10**7, "null", "[]"],
)
def test_what_is_no_config(folder, text):
    (folder / CONFIG).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"config\.json"):
        load_pretrained(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0{}      "])
def test_what_is_no_safetensors_file(folder, content):
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        load_pretrained(folder)


def test_a_cut_off_download(folder):
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[:-1])
    with pytest.raises(ValueError, match="damaged"):
        load_pretrained(folder)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_becomes_single(folder, tiny_encoder, dtype):
    def halve(tensors):
        tensors |= {name: tensor.to(dtype) for name, tensor in tensors.items() if tensor.is_floating_point()}

    loaded = load_pretrained(with_tensors(folder, halve))
    for name, tensor in tiny_encoder.state_dict().items():
        expected = tensor.to(dtype).float() if tensor.is_floating_point() else tensor
        assert torch.equal(loaded.state_dict()[name], expected)
        assert loaded.state_dict()[name].dtype == tensor.dtype


# -- saving -----------------------------------------------------------------------------------------------------------


def test_what_is_saved(folder, tiny_encoder):
    assert sorted(path.name for path in folder.iterdir()) == sorted([CONFIG, WEIGHTS, CARD])
    assert EncoderConfig.from_dict(json.loads((folder / CONFIG).read_text())) == tiny_encoder.config
    with safe_open(folder / WEIGHTS, framework="pt") as file:
        assert file.metadata() == {"format": "pt", "skelrep": skelrep_hub.__version__}


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

    monkeypatch.setattr(skelrep_hub, "save", full)
    with pytest.raises(OSError, match="no space left"):
        save_pretrained(shifted(tiny_encoder), folder, card="new", replace_card=True)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_what_cannot_be_saved(tiny_config, tiny_encoder, tmp_path):
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


# -- the Hub: loading -------------------------------------------------------------------------------------------------


def test_cold_then_warm(hub: HubServer, files, tiny_encoder):
    sha = hub.commit(REPO, files)
    encoder = load_pretrained(REPO)
    assert same(encoder, tiny_encoder)
    assert encoder.source == (REPO, sha)
    assert sha[:8] in repr(encoder)
    assert not any(CARD in line for line in hub.requests)
    hub.requests.clear()
    assert same(load_pretrained(REPO), tiny_encoder)
    assert hub.requests == [f"GET /api/models/{REPO}/revision/main"]  # has the branch moved?


def test_a_pinned_commit_in_the_cache_asks_nothing(hub: HubServer, files, tiny_encoder):
    sha = hub.commit(REPO, files)
    hub.commit(REPO, {CONFIG: b"{}"})
    assert same(load_pretrained(REPO, revision=sha), tiny_encoder)
    hub.requests.clear()
    encoder = load_pretrained(REPO, revision=sha)
    assert same(encoder, tiny_encoder)
    assert encoder.source == (REPO, sha)
    assert hub.requests == []


def test_branches_and_caches(hub: HubServer, files, tiny_encoder, tmp_path):
    hub.commit(REPO, {"notes.txt": b""})
    sha = hub.commit(REPO, files, branch="trial")
    encoder = load_pretrained(REPO, revision="trial", cache_dir=tmp_path / "mine")
    assert same(encoder, tiny_encoder)
    assert encoder.source.commit == sha
    assert list((tmp_path / "mine").iterdir())
    with pytest.raises(FileNotFoundError, match="no branch, tag or commit 'trail'"):
        load_pretrained(REPO, revision="trail")
    with pytest.raises(FileNotFoundError, match="no branch, tag or commit"):
        load_pretrained(REPO, revision="0" * 40)


def test_a_branch_that_moved_is_followed(hub: HubServer, files, tiny_encoder, tmp_path):
    hub.commit(REPO, files)
    load_pretrained(REPO)
    sha = hub.commit(REPO, files_of(shifted(tiny_encoder), tmp_path / "next"))
    encoder = load_pretrained(REPO)
    assert encoder.source.commit == sha
    assert same(encoder, tiny_encoder)


def test_both_files_are_of_one_commit(hub: HubServer, files, tiny_encoder, tmp_path):
    sha = hub.commit(REPO, files)
    other = Encoder(EncoderConfig(modalities=("joint",), backbone=RecurrentConfig(hidden=4, layers=1)))
    replacement = files_of(other, tmp_path / "other")

    def move(line: str) -> None:
        if "/resolve/" in line and len(hub.repositories[REPO].commits) == 1:
            hub.commit(REPO, replacement)

    hub.before = move
    encoder = load_pretrained(REPO)
    assert encoder.source.commit == sha
    assert same(encoder, tiny_encoder)
    assert load_pretrained(REPO).config == other.config


def test_the_hub_is_down(hub: HubServer, files, tiny_encoder):
    hub.commit(REPO, files)
    load_pretrained(REPO)
    hub.stop()
    assert same(load_pretrained(REPO), tiny_encoder)
    with pytest.raises(FileNotFoundError, match="not in the cache"):
        load_pretrained("lab/other")


def test_the_hub_is_ill(hub: HubServer, files, tiny_encoder):
    hub.commit(REPO, files)
    load_pretrained(REPO)
    hub.failing = "/api/models"
    assert same(load_pretrained(REPO), tiny_encoder)
    with pytest.raises(OSError, match="lab/other"):
        load_pretrained("lab/other")


def test_local_files_only(hub: HubServer, files, tiny_encoder):
    sha = hub.commit(REPO, files)
    for revision in (None, sha):
        with pytest.raises(FileNotFoundError, match=r"not in the cache.*online"):
            load_pretrained(REPO, revision=revision, local_files_only=True)
    assert hub.requests == []
    load_pretrained(REPO)
    hub.requests.clear()
    for revision in (None, sha, "main"):
        assert same(load_pretrained(REPO, revision=revision, local_files_only=True), tiny_encoder)
    assert hub.requests == []


def test_half_a_snapshot_in_the_cache(hub: HubServer, files, tiny_encoder):
    from huggingface_hub import hf_hub_download

    sha = hub.commit(REPO, files)
    hf_hub_download(REPO, CONFIG)
    with pytest.raises(FileNotFoundError, match="online"):
        load_pretrained(REPO, local_files_only=True)
    hub.stop()
    with pytest.raises(FileNotFoundError, match="online"):
        load_pretrained(REPO)
    hub.start()
    assert same(load_pretrained(REPO, revision=sha), tiny_encoder)


def test_a_full_disk_is_no_fault_of_the_hub(hub: HubServer, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(OSError, match="No space left") as caught:
        load_pretrained(REPO)
    assert caught.value.errno == 28


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_repository_that_holds_no_encoder(hub: HubServer, files, name):
    hub.commit(REPO, {key: content for key, content in files.items() if key != name})
    with pytest.raises(FileNotFoundError, match=name):
        load_pretrained(REPO)
    with pytest.raises(FileNotFoundError, match=name):
        load_pretrained(REPO, revision=hub.repositories[REPO].branches["main"])


def test_weights_of_another_encoder_on_the_hub(hub: HubServer, files):
    hub.commit(REPO, files | {WEIGHTS: save({"weight": torch.zeros(1)})})
    with pytest.raises(ValueError, match=r"1 unknown \(weight\)"):
        load_pretrained(REPO)


def test_no_repository(hub: HubServer):
    with pytest.raises(FileNotFoundError, match=r"no folder lab/encoder.*hf auth login"):
        load_pretrained(REPO)


def test_private_repositories(hub: HubServer, files, tiny_encoder, tmp_path):
    hub.commit(REPO, files, readers={"hf_secret"})
    for token in (None, False):
        with pytest.raises(FileNotFoundError, match="pass token="):
            load_pretrained(REPO, token=token)
    with pytest.raises(PermissionError, match="refuses this token"):
        load_pretrained(REPO, token="hf_wrong")
    assert same(load_pretrained(REPO, token="hf_secret"), tiny_encoder)


def test_offline_in_another_process(hub: HubServer, files, folder, tmp_path):
    """With HF_HUB_OFFLINE a cached encoder loads; and a folder never needs the client at all."""
    hub.commit(REPO, files)
    cache = tmp_path / "cache"
    load_pretrained(REPO, cache_dir=cache)
    hub.requests.clear()
    done = in_a_process(
        f"""
import sys
from skelrep.hub import load_pretrained
load_pretrained({str(folder)!r})
# Seconds of imports: some ways to fill a tensor load a whole compiler when it is a meta tensor.
print([name for name in ("huggingface_hub", "torch._dynamo", "sklearn") if name in sys.modules])
print(load_pretrained({REPO!r}).source.commit)
try:
    load_pretrained("lab/other")
except FileNotFoundError as error:
    print(error)
""",
        HF_HUB_OFFLINE="1",
        HF_HUB_CACHE=str(cache),
    )
    assert done.returncode == 0, done.stderr
    imported, commit, error = done.stdout.splitlines()
    assert commit == hub.repositories[REPO].branches["main"]
    assert "HF_HUB_OFFLINE" in error
    assert hub.requests == []
    assert imported == "[]"


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
def test_a_push_that_cannot_look_changes_nothing(hub: HubServer, tiny_encoder, failing, monkeypatch):
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


def test_what_must_be_private_is_not_pushed_where_all_can_see_it(hub: HubServer, tiny_encoder):
    before = hub.commit(REPO, {"notes.txt": b""})
    with pytest.raises(ValueError, match="exists and is public: nothing was uploaded"):
        push_to_hub(tiny_encoder, REPO, private=True)
    assert hub.repositories[REPO].branches == {"main": before}
    push_to_hub(tiny_encoder, "lab/secret", private=True)
    push_to_hub(tiny_encoder, "lab/secret", private=True)
    assert hub.repositories["lab/secret"].readers is not None


# -- the Hub at the shell ---------------------------------------------------------------------------------------------


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`skelrep ...` in a process of its own, whose Hub client reads its environment afresh."""
    kept = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    return subprocess.run(
        [sys.executable, "-m", "skelrep", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_download_once_and_load_offline(hub: HubServer, files, tiny_encoder, tmp_path):
    """HF_HOME says where it goes; with HF_HUB_OFFLINE nothing is asked, and what is not there is told."""
    sha = hub.commit(REPO, files | {CARD: b"card"})
    hub.commit(REPO, {CONFIG: b"{}"})
    home = str(tmp_path / "home")
    offline = {"HF_HOME": home, "HF_HUB_OFFLINE": "1"}
    done = shell("download", REPO, **offline)
    assert (done.returncode, done.stdout) == (1, "") and "HF_HUB_OFFLINE" in done.stderr
    assert hub.requests == []
    done = shell("download", REPO, "--revision", sha, HF_HOME=home)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.removesuffix("\n"))
    assert folder.is_dir() and folder.name == sha and folder.is_relative_to(home)
    assert (folder / CARD).read_bytes() == b"card"
    hub.requests.clear()
    hub.stop()
    assert json.loads(shell("info", str(folder), "--json", **offline).stdout)["dim"] == tiny_encoder.dim
    done = shell("download", REPO, "--revision", sha, "-o", str(tmp_path / "mine"), "--json", **offline)
    assert json.loads(done.stdout) == {"model": REPO, "output": str(tmp_path / "mine")}
    code = f"from skelrep import load_pretrained; print(load_pretrained({REPO!r}, revision={sha!r}).source.commit)"
    assert in_a_process(code, **offline).stdout == f"{sha}\n"
    assert hub.requests == []
    assert {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()} == files | {CARD: b"card"}
    assert same(load_pretrained(tmp_path / "mine"), tiny_encoder)


def test_the_token_of_the_environment_lets_in(hub: HubServer, files, tiny_encoder, tmp_path):
    hub.commit(REPO, files, readers={"hf_secret"})
    home = str(tmp_path / "home")
    done = shell("download", REPO, HF_HOME=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr.startswith("skelrep: error: ") and "hf auth login" in done.stderr and done.stderr.count("\n") == 1
    )
    done = shell("download", REPO, HF_HOME=home, HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    assert same(load_pretrained(done.stdout.strip()), tiny_encoder)
    folder = str(save_pretrained(tiny_encoder, tmp_path / "mine"))
    done = shell("push", folder, "lab/new", HF_HOME=home)
    assert (done.returncode, done.stdout) == (1, "") and "lab/new" not in hub.repositories
    message = ("--private", "--message", "First light")
    done = shell("push", folder, "lab/new", *message, HF_HOME=home, HF_TOKEN="hf_secret")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{hub.url}/lab/new/commit/{hub.repositories['lab/new'].branches['main']}\n"
    assert hub.repositories["lab/new"].readers == {"hf_secret"}


def test_push_and_download_in_this_process(hub: HubServer, tiny_encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_pretrained(tiny_encoder, "mine")
    assert main(["push", "mine", REPO]) == 0
    hub.commit(REPO, {CARD: b"theirs"})
    assert main(["push", "mine", REPO, "--revision", "trial", "--replace-card", "--json"]) == 0
    assert main(["push", "mine", REPO]) == 0
    capsys.readouterr()
    assert hub.files(REPO)[CARD] == b"theirs"
    assert hub.files(REPO, "trial")[CARD].decode() == model_card(tiny_encoder, name=REPO)
    assert main(["download", REPO, "--revision", "trial", "-o", "copy"]) == 0
    assert capsys.readouterr().out == "copy\n"
    assert {path.name: path.read_bytes() for path in Path("copy").iterdir()} == {
        name: content for name, content in hub.files(REPO, "trial").items() if name != ".gitattributes"
    }
    assert main(["download", bundled()[0], "-o", "boxed"]) == 0
    assert sorted(path.name for path in Path("boxed").iterdir()) == sorted([CONFIG, WEIGHTS, CARD])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("download i2md-smal", "did you mean 'i2md-small'?"),
        ("download lab/other", "no such repository that you may see"),
        (f"download {REPO} --revision trail", "no branch, tag or commit 'trail'"),
        (f"download {REPO} --revision broken -o copy", "does not hold exactly the tensors"),
        (f"push min {REPO}", "there is no bundled encoder and no folder 'min'"),
        ("push mine a/b/c", "a/b/c"),
        (f"push mine {REPO} --private", "exists and is public"),
    ],
)
def test_errors_at_the_shell(hub: HubServer, files, tiny_encoder, command, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    hub.commit(REPO, files)
    hub.commit(REPO, files | {WEIGHTS: save({"weight": torch.zeros(1)})}, branch="broken")
    save_pretrained(tiny_encoder, "mine")
    before = {*hub.repositories[REPO].commits}, set(tmp_path.iterdir())
    assert main(command.split()) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("skelrep: error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert ({*hub.repositories[REPO].commits}, set(tmp_path.iterdir()) - {tmp_path / "hub-cache"}) == before


# -- model cards ------------------------------------------------------------------------------------------------------


def front_matter(card: str) -> dict:
    start, front, _ = card.split("---\n", 2)
    assert start == ""
    return yaml.safe_load(front)


def test_the_card_of_an_untrained_encoder(tiny_encoder):
    card = model_card(tiny_encoder)
    front = front_matter(card)
    assert front == {
        "library_name": "skelrep",
        "pipeline_tag": "feature-extraction",
        "tags": ["skeleton", "action-recognition", "self-supervised", "i2md"],
    } | ({"model_name": front["model_name"]} if "model_name" in front else {})
    for word in ("common-15", "left_shoulder", "64 frames", "load_pretrained", str(tiny_encoder.dim)):
        assert word in card
    for word in ("## Results", "## Training", "## Licence", "None"):
        assert word not in card


def test_the_card_of_a_trained_encoder(tiny_config):
    card = model_card(Encoder(EncoderConfig(backbone=tiny_config.backbone, training=TRAINING)), name="lab/encoder")
    front = front_matter(card)
    assert front["license"] == "cc-by-4.0"
    assert front["datasets"] == ["bandai-namco-2", "org/set"]
    assert front["metrics"] == ["accuracy"]
    (index,) = front["model-index"]
    assert index["name"] == "encoder"
    metrics = [metric for result in index["results"] for metric in result["metrics"]]
    assert [metric["value"] for metric in metrics] == [81.25, 88.5]
    assert {metric["type"] for metric in metrics} == {"accuracy"}
    assert "cross-subject" in metrics[0]["name"]
    assert {result["dataset"]["name"] for result in index["results"]} == {"UTD-MHAD"}
    assert "| UTD-MHAD | cross-subject | 1-NN accuracy | 81.25 ± 0.4 |" in card
    assert "| Bandai-Namco 2 | CC BY-NC 4.0 | 3.2 |  |" in card
    assert "x\\|y" in card
    assert "- Bad at hands: it sees none." in card
    assert "I2MD for 60 epochs: on one CPU." in card


def test_the_hubs_own_client_reads_the_card(tiny_config):
    from huggingface_hub import EvalResult, ModelCard

    encoder = Encoder(EncoderConfig(backbone=tiny_config.backbone, training=TRAINING))
    card = ModelCard(model_card(encoder, name="lab/encoder"))
    assert (card.data.license, card.data.library_name, card.data.model_name) == ("cc-by-4.0", "skelrep", "encoder")
    assert card.data.datasets == ["bandai-namco-2", "org/set"]
    assert card.data.pipeline_tag == "feature-extraction"
    read = card.data.eval_results
    assert all(isinstance(result, EvalResult) for result in read)
    assert [(one.dataset_name, one.dataset_type, one.metric_type) for one in read] == [
        ("UTD-MHAD", "utd-mhad", "accuracy")
    ] * 2
    assert [(one.metric_value, one.metric_name) for one in read] == [
        (81.25, "1-NN accuracy (cross-subject)"),
        (88.5, "accuracy (linear: frozen)"),
    ]
    assert 'load_pretrained("lab/encoder")' in card.text
    again = ModelCard(str(card))
    assert again.data.to_dict() == card.data.to_dict()


def test_cards_of_all_that_is_in_the_box_are_read_by_the_hubs_client():
    from huggingface_hub import ModelCard

    for name in bundled():
        card = ModelCard.load(skelrep_hub.PRETRAINED / name / CARD)
        training = load_pretrained(name, device="cpu").config.training
        assert card.data.license == training["license"] and len(card.data.datasets) == len(training["data"])
        assert sorted(r.metric_value for r in card.data.eval_results) == sorted(r["value"] for r in training["results"])


def test_a_card_survives_awkward_words(tiny_config):
    training = TRAINING | {
        "license": "other: 'quoted' # not a comment",
        "data": [{"name": "a: b\n- c"}],
        "results": [TRAINING["results"][0] | {"dataset": '"NTU": RGB+D {60}', "protocol": "--- é"}],
    }
    front = front_matter(model_card(Encoder(EncoderConfig(backbone=tiny_config.backbone, training=training)), name="x"))
    assert front["license"] == training["license"]
    assert front["model-index"][0]["results"][0]["dataset"] == {"name": '"NTU": RGB+D {60}', "type": "ntu-rgb-d-60"}


@pytest.mark.parametrize(
    "training",
    [{"results": 3}, {"results": [{"dataset": "x"}]}, {"data": ["NTU"]}, {"notes": "good"}, {"hyper_parameters": [1]}],
)
def test_a_card_names_the_key_that_it_cannot_read(tiny_config, training):
    with pytest.raises(ValueError, match=next(iter(training))):
        model_card(Encoder(EncoderConfig(backbone=tiny_config.backbone, training=training)))
