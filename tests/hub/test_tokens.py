"""Access tokens and passwords in every place where users put them: no message and no traceback shows one."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from skelrep.cli import main
from skelrep.hub import load_pretrained, push_to_hub
from tests.hub.saved import REPO
from tests.hub_server import HubServer

ROOT = Path(__file__).parents[2]
SECRET = "SECRETSECRET"


def shown(action) -> str:
    """The error of an action with all its causes, as a traceback shows it, without the lines of this file."""
    with pytest.raises((OSError, ValueError)) as caught:
        action()
    lines = "".join(traceback.format_exception(caught.value)).splitlines()
    return "\n".join(line for line in lines if not line.strip().startswith(("load_pretrained(", "push_to_hub(")))


TOKENS = [f"hf_{SECRET}\n", f" hf_{SECRET} ", f"hf_{SECRET}\r\nX: y", f"hf_{SECRET}É", f"hf_{SECRET} x", f"hf_{SECRET}"]


@pytest.mark.parametrize("token", TOKENS)
def test_no_message_holds_a_token(token, hub: HubServer, files, tiny_encoder):
    hub.commit(REPO, files, readers={"hf_other"})
    assert SECRET not in shown(lambda: load_pretrained(REPO, token=token))
    assert SECRET not in shown(lambda: push_to_hub(tiny_encoder, REPO, token=token))


SCRIPT = """
import sys, traceback
from skelrep import load_pretrained
try:
    load_pretrained(sys.argv[1])
except (OSError, ValueError) as error:
    print(type(error).__name__, error)
    traceback.print_exc()
else:
    print("loaded")
"""


def in_a_process(words: list[str], tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"HF_HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables
    environment.pop("NO_PROXY" if "HTTP_PROXY" in variables else "", None)
    return subprocess.run([sys.executable, *words], env=environment, capture_output=True, text=True, timeout=300)


def outside(text: str) -> str:
    """A traceback without the lines of source code."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        *({"HF_TOKEN": token} for token in TOKENS),
        {"HF_TOKEN": f"hf_{SECRET}", "HF_ENDPOINT": f"http://anna:{SECRET}@127.0.0.1:9"},
        {"HTTP_PROXY": f"http://anna:{SECRET}@127.0.0.1:9"},
        {"HTTP_PROXY": f"http://anna:{SECRET}@127.0.0.1:notaport"},
        {"HTTP_PROXY": f"socks9://anna:{SECRET}@127.0.0.1:9"},
        {"HF_ENDPOINT": f"ftp://anna:{SECRET}@127.0.0.1:9"},
        {"HF_ENDPOINT": f"http://anna:{SECRET}@[bad"},
    ],
    ids=[*(f"token {i}" for i in range(len(TOKENS))), "endpoint", "proxy", "port", "socks", "ftp", "bracket"],
)
def test_no_message_holds_a_variable(variables, hub: HubServer, files, tmp_path):
    hub.commit(REPO, files, readers={"hf_other"})
    found = in_a_process(
        ["-c", SCRIPT, REPO], tmp_path, HF_HUB_DOWNLOAD_TIMEOUT="2", HF_HUB_ETAG_TIMEOUT="2", **variables
    )
    assert "loaded" not in found.stdout
    assert SECRET not in found.stdout + outside(found.stderr), found.stdout
    found = in_a_process(["-m", "skelrep", "info", REPO], tmp_path, HF_HUB_ETAG_TIMEOUT="2", **variables)
    assert found.returncode == 1 and found.stderr.count("\n") == 1 and SECRET not in found.stderr, found.stderr
    found = in_a_process(["-m", "skelrep", "info", REPO, "--debug"], tmp_path, HF_HUB_ETAG_TIMEOUT="2", **variables)
    assert found.returncode == 1 and "Traceback" in found.stderr and SECRET not in found.stderr, found.stderr


@pytest.mark.parametrize("name", ["https://anna:{}@host/m", "https://{}@host/a/b", "git+ssh://anna:{}@host/m"])
@pytest.mark.parametrize(
    "command", ["info {}", "embed {} -o x.npy", "search {0} {0}", "download {}", "predict {} a.npz"]
)
def test_no_message_holds_a_url(name, command, capsys):
    assert main(command.format(name.format(SECRET)).split()) == 1
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err and said.err.count("\n") == 1
    assert main([*command.format(name.format(SECRET)).split(), "--debug"]) == 1
    said = capsys.readouterr()
    assert "Traceback" in said.err and SECRET not in said.out + said.err
