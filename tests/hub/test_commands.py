"""`skelrep download` and `push` in separate processes, with a Hub on loopback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from skelrep.cli import main
from skelrep.hub import bundled, load_pretrained, model_card, save_pretrained
from skelrep.hub.load import CARD, CONFIG, WEIGHTS
from tests.hub.saved import REPO, in_a_process, same
from tests.hub_server import HubServer

# -- the Hub at the shell ---------------------------------------------------------------------------------------------


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Runs `skelrep ...` in a separate process, whose Hub client reads its environment again."""
    kept = {key: value for key, value in os.environ.items() if key != "HF_TOKEN"}
    return subprocess.run(
        [sys.executable, "-m", "skelrep", *arguments],
        env=kept | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.slow
def test_download_once_and_load_offline(hub: HubServer, files, tiny_encoder, tmp_path):
    """HF_HOME is the folder of the cache; with HF_HUB_OFFLINE no request is made; a missing encoder is an error."""
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


@pytest.mark.slow
def test_the_token_of_the_environment_is_used(hub: HubServer, files, tiny_encoder, tmp_path):
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
        ("download lab/other", "no such repository on the Hub"),
        (f"download {REPO} --revision trail", "no branch, tag or commit 'trail'"),
        (f"download {REPO} --revision broken -o copy", "does not contain exactly the tensors"),
        (f"push min {REPO}", "there is no bundled encoder and no folder 'min'"),
        ("push mine a/b/c", "a/b/c"),
        (f"push mine {REPO} --private", "exists and is public"),
    ],
)
def test_errors_on_the_command_line(
    hub: HubServer, files, tiny_encoder, command, message, tmp_path, monkeypatch, capsys
):
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
