"""Loading from folders and from a Hub on loopback, through the real huggingface_hub client; strictness."""

from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save

from skelrep.encoder import Encoder, EncoderConfig
from skelrep.encoder.recurrent import RecurrentConfig
from skelrep.hub import bundled, load_pretrained, save_pretrained
from skelrep.hub import load as skelrep_hub
from skelrep.hub.errors import checked_token
from skelrep.hub.load import CARD, CONFIG, WEIGHTS
from tests.hub.saved import REPO, files_of, in_a_process, same, shifted, with_config, with_tensors
from tests.hub_server import HubServer

# -- folders and bundled encoders ------------------------------------------------------------------------------------


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
def test_invalid_names_are_refused(hub, name):
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


def test_a_file_is_not_a_folder(folder, tmp_path):
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


def test_messages_about_a_config_are_bounded(folder):
    with pytest.raises(ValueError) as caught:
        load_pretrained(with_config(folder, modalities=["x" * 10**5]))
    assert len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "text",
    ["", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "[" * 10**5, b"\xff\xfe{", "1" * 10**4, " " * 10**7, "null", "[]"],
)
def test_invalid_configs_are_refused(folder, text):
    (folder / CONFIG).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"config\.json"):
        load_pretrained(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0{}      "])
def test_files_that_are_not_safetensors(folder, content):
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


def test_a_cached_commit_needs_no_request(hub: HubServer, files, tiny_encoder):
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
    with pytest.raises(FileNotFoundError, match="not completely in the cache"):
        load_pretrained("lab/other")


def test_a_hub_with_server_errors(hub: HubServer, files, tiny_encoder):
    hub.commit(REPO, files)
    load_pretrained(REPO)
    hub.failing = "/api/models"
    assert same(load_pretrained(REPO), tiny_encoder)
    with pytest.raises(OSError, match="lab/other"):
        load_pretrained("lab/other")


def test_local_files_only(hub: HubServer, files, tiny_encoder):
    sha = hub.commit(REPO, files)
    for revision in (None, sha):
        with pytest.raises(FileNotFoundError, match=r"not completely in the cache.*online"):
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


def test_a_full_disk_is_not_reported_as_an_error_of_the_hub(hub: HubServer, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("huggingface_hub.snapshot_download", full)
    with pytest.raises(OSError, match="No space left") as caught:
        load_pretrained(REPO)
    assert caught.value.errno == 28


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_a_repository_without_an_encoder(hub: HubServer, files, name):
    hub.commit(REPO, {key: content for key, content in files.items() if key != name})
    with pytest.raises(FileNotFoundError, match=name):
        load_pretrained(REPO)
    with pytest.raises(FileNotFoundError, match=name):
        load_pretrained(REPO, revision=hub.repositories[REPO].branches["main"])


def test_weights_of_another_encoder_on_the_hub(hub: HubServer, files):
    hub.commit(REPO, files | {WEIGHTS: save({"weight": torch.zeros(1)})})
    with pytest.raises(ValueError, match=r"1 unknown \(weight\)"):
        load_pretrained(REPO)


@pytest.mark.parametrize("token", ["hf_SECRET\r\nX: y", "hf_SECRÉT", "hf_SEC RET", " "])
def test_an_invalid_token_never_appears_in_messages(hub: HubServer, token):
    with pytest.raises(ValueError, match="token") as refused:
        load_pretrained(REPO, token=token)
    chain: BaseException | None = refused.value
    while chain is not None:
        assert "SEC" not in str(chain)
        chain = chain.__cause__ or chain.__context__
    assert hub.requests == []


def test_spaces_around_a_token_are_removed():
    assert checked_token(" hf_SECRET\n") == "hf_SECRET"
    assert checked_token(None) is None
    assert checked_token(True) is True


def test_a_url_with_a_password_is_not_repeated():
    with pytest.raises(ValueError, match="not a Hub id") as refused:
        load_pretrained("https://user:SECRET@example.org/m")
    assert "SECRET" not in str(refused.value)


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


@pytest.mark.slow
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
