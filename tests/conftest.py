"""Set-up of all tests: a Hub on the loopback interface, no other network access, and small untrained encoders."""

from __future__ import annotations

# huggingface_hub reads its environment when it is first imported, so this comes before everything else.
import atexit
import os
import shutil
import tempfile

from tests import shapes
from tests.hub_server import TOKEN, HubServer

shapes.install()  # before the package is imported

SERVER = HubServer()
HOME = tempfile.mkdtemp(prefix="skelrep-tests-")
atexit.register(shutil.rmtree, HOME, ignore_errors=True)
for inherited in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN_PATH"):
    os.environ.pop(inherited, None)
os.environ.update(
    HF_ENDPOINT=SERVER.url,
    HF_HOME=HOME,
    HF_TOKEN=TOKEN,
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_XET="1",
    HF_HUB_DISABLE_PROGRESS_BARS="1",
    NO_PROXY="127.0.0.1,localhost",
)

import ipaddress  # noqa: E402
import socket  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

import hypothesis  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from torch import nn  # noqa: E402

from skelrep.encoder import Encoder, EncoderConfig  # noqa: E402
from skelrep.encoder.convolution import ConvolutionConfig  # noqa: E402
from skelrep.encoder.recurrent import RecurrentConfig  # noqa: E402

hypothesis.settings.register_profile("skelrep", deadline=None)  # a busy machine is slow, not wrong
hypothesis.settings.load_profile("skelrep")
torch.set_num_threads(1)  # steps this small are not worth sharing, and on a busy machine threads wait for each other


def _local(host: object) -> bool:
    try:
        return host in (None, "", "localhost") or ipaddress.ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that misses the loopback Hub fails at once, not after the client's 23 seconds of retries."""
    connect, look_up = socket.socket.connect, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address):
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _local(address[0]):
            raise RuntimeError(f"a test wanted to connect to {address}")
        return connect(self, address)

    def guarded_look_up(host, *args, **kwargs):
        if not _local(host):
            raise RuntimeError(f"a test wanted to look up {host}")
        return look_up(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """The Hub, empty, and an empty cache of the client's."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    SERVER.reset()
    yield SERVER
    if not SERVER.running:
        SERVER.start()
    SERVER.reset()


@pytest.fixture(scope="session")
def tiny_config() -> EncoderConfig:
    """A very small encoder of the bundled kind."""
    return EncoderConfig(backbone=ConvolutionConfig(width=16, blocks=1))


@pytest.fixture
def tiny_encoder(tiny_config: EncoderConfig) -> Encoder:
    """Untrained, always the same."""
    return untrained(tiny_config)


@pytest.fixture
def tiny_recurrent_encoder() -> Encoder:
    """Untrained, of the paper's kind, always the same."""
    return untrained(EncoderConfig(backbone=RecurrentConfig(hidden=16, layers=2)))


def untrained(config: EncoderConfig, seed: int = 0) -> Encoder:
    """An encoder whose every weight matters: normalisation is not the identity, as in a fresh one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = Encoder(config)
        for module in encoder.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.1)
                nn.init.normal_(module.running_mean, std=0.1)  # type: ignore[arg-type]
                nn.init.uniform_(module.running_var, 0.5, 1.5)  # type: ignore[arg-type]
                module.num_batches_tracked.fill_(7)  # type: ignore[union-attr]
            elif isinstance(module, nn.Linear):
                module.weight.data += 0.1 * torch.randn_like(module.weight)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=0.1)
    return encoder
