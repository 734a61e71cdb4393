"""A Hub that is slow, breaks off, states wrong lengths or sends somewhere else; processes that are killed or meet."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from skelrep.hub import download, load_pretrained, push_to_hub
from skelrep.hub.load import CARD, CONFIG, WEIGHTS
from tests.corpus_data import another_process
from tests.hub.saved import REPO, same
from tests.hub_server import HubServer

posix = pytest.mark.skipif(os.name != "posix", reason="kills a process as POSIX does")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch) -> None:
    """The client waits between its attempts; the tests do not."""
    sleep = time.sleep
    monkeypatch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.02)))


def send(to: BaseHTTPRequestHandler, headers: dict[str, str], content: bytes, length: int, pieces: int = 1) -> None:
    to.send_response(200)
    for key, value in headers.items():
        to.send_header(key, value)
    to.send_header("Content-Length", str(length))
    to.end_headers()
    step = max(1, len(content) // pieces)
    for begin in range(0, len(content), step):
        to.wfile.write(content[begin : begin + step])
        to.wfile.flush()
        time.sleep(0.02 if pieces > 1 else 0)


def redirect(to: BaseHTTPRequestHandler, address: str) -> None:
    to.send_response(302)
    to.send_header("Location", address)
    to.send_header("Content-Length", "0")
    to.end_headers()


def test_a_slow_hub(hub: HubServer, files, tiny_encoder):
    hub.commit(REPO, files)
    hub.sending = lambda to, headers, content: send(to, headers, content, len(content), 20)
    assert same(load_pretrained(REPO), tiny_encoder)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
@pytest.mark.parametrize(("part", "stated"), [(0.5, 1.0), (1.0, 1.5), (1.0, 0.5), (0.0, 1.0)])
def test_a_hub_that_interrupts_a_download_or_states_a_wrong_length(
    name, part, stated, hub: HubServer, files, tiny_encoder
):
    hub.commit(REPO, files)

    def sending(to: Any, headers: dict[str, str], content: bytes) -> None:
        wrong = to.path.endswith(name)
        sent = content[: int(part * len(content))] if wrong else content
        send(to, headers, sent, int(stated * len(content)) if wrong else len(content))

    hub.sending = sending
    with pytest.raises((OSError, ValueError), match=REPO if stated >= 1 else rf"{REPO}|{name}") as caught:
        load_pretrained(REPO)
    assert "\n" not in str(caught.value)
    hub.sending = None
    assert same(load_pretrained(REPO), tiny_encoder)  # nothing of it was kept


@pytest.fixture
def elsewhere() -> Iterator[HubServer]:
    server = HubServer()
    yield server
    server.stop()


def test_a_redirection_keeps_the_token_at_the_hub(hub: HubServer, elsewhere: HubServer, files, tiny_encoder):
    hub.commit(REPO, files, readers={"hf_secret"})
    elsewhere.commit(REPO, files)
    seen: list[str | None] = []

    def sending(to: Any, headers: dict[str, str], content: bytes) -> None:
        if "/resolve/" not in to.path:
            send(to, headers, content, len(content))
            return
        redirect(to, elsewhere.url + to.path)

    def receiving(to: Any, headers: dict[str, str], content: bytes) -> None:
        seen.append(to.headers.get("Authorization"))
        send(to, headers, content, len(content))

    hub.sending, elsewhere.sending = sending, receiving
    assert same(load_pretrained(REPO, token="hf_secret"), tiny_encoder)
    assert seen == [None, None]


def test_a_redirection_without_end(hub: HubServer, files):
    hub.commit(REPO, files)

    def sending(to: Any, headers: dict[str, str], content: bytes) -> None:
        if "/resolve/" not in to.path:
            send(to, headers, content, len(content))
            return
        redirect(to, hub.url + to.path)

    hub.sending = sending
    with pytest.raises(OSError, match=REPO) as caught:
        load_pretrained(REPO)
    assert "\n" not in str(caught.value)


def fetch(cache: str, folder: str) -> None:
    """A download in a process of its own."""
    download(REPO, folder, cache_dir=cache)


def publish(model: str) -> None:
    """A push in a process of its own."""
    push_to_hub(model, REPO, replace_card=True, token="hf_test")


@posix
@pytest.mark.slow
def test_a_killed_download_starts_again(hub: HubServer, files, tiny_encoder, tmp_path):
    hub.commit(REPO, files | {CARD: b"card"})
    fetch(str(tmp_path / "whole"), str(tmp_path / "whole" / "copy"))
    for moment in range(len(hub.requests)):
        cache, copy = tmp_path / f"cache{moment}", tmp_path / f"copy{moment}"
        process = another_process(fetch, str(cache), str(copy))
        hub.requests.clear()
        hub.before = lambda line, moment=moment, process=process: (
            os.kill(process.pid or 0, signal.SIGKILL) if len(hub.requests) == moment + 1 else None
        )
        process.start()
        process.join()
        hub.before = lambda line: None
        assert process.exitcode == -signal.SIGKILL
        assert not (copy / CONFIG).exists()
        fetch(str(cache), str(copy))
        assert same(load_pretrained(copy), tiny_encoder)


@posix
@pytest.mark.slow
def test_a_killed_push_changes_all_or_nothing(hub: HubServer, files, tiny_encoder, tmp_path):
    from skelrep.hub import save_pretrained

    save_pretrained(tiny_encoder, tmp_path / "model")
    old = {CONFIG: b"old", WEIGHTS: b"old", CARD: b"old"}
    hub.commit(REPO, old)
    publish(str(tmp_path / "model"))
    for moment in range(len(hub.requests)):
        hub.reset()
        hub.commit(REPO, old)
        process = another_process(publish, str(tmp_path / "model"))
        hub.before = lambda line, moment=moment, process=process: (
            os.kill(process.pid or 0, signal.SIGKILL) if len(hub.requests) == moment + 1 else None
        )
        process.start()
        process.join()
        hub.before = lambda line: None
        assert process.exitcode == -signal.SIGKILL
        found = hub.files(REPO)
        assert found == old or {found[name] for name in old}.isdisjoint({b"old"}), moment
        publish(str(tmp_path / "model"))
        assert same(load_pretrained(REPO), tiny_encoder)


def test_two_downloads_of_one_model(hub: HubServer, files, tiny_encoder, tmp_path):
    hub.commit(REPO, files | {CARD: b"card"})
    hub.sending = lambda to, headers, content: send(to, headers, content, len(content), 5)
    errors: list[Exception] = []

    def work() -> None:
        try:
            fetch(str(tmp_path / "cache"), str(tmp_path / "copy"))
        except Exception as error:  # any is a fault here
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert same(load_pretrained(tmp_path / "copy"), tiny_encoder)
    assert sorted(file.name for file in Path(tmp_path / "copy").iterdir()) == sorted([CARD, CONFIG, WEIGHTS])
