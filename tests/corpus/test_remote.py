"""A corpus at a URL: an object store on the loopback interface, and fsspec's own memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from skelrep import corpus
from skelrep.cli import main

pytest.importorskip("fsspec", reason="needs fsspec: pip install '.[remote]'")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty bucket."""
    pytest.importorskip("s3fs", reason="needs s3fs")
    server = pytest.importorskip("moto.server", reason="needs moto[server]")
    for name, value in (("AWS_ACCESS_KEY_ID", "any"), ("AWS_SECRET_ACCESS_KEY", "any"), ("AWS_REGION", "us-east-1")):
        monkeypatch.setenv(name, value)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("motions")
    yield "s3://motions"
    running.stop()


def check(inputs: Path, model: Path, url: str, local: Path) -> None:
    """A corpus at a URL equals a local one, is resumed, and is read."""
    corpus.embed(inputs, local, model, shard_size=5)
    assert corpus.embed(inputs, url, model, shard_size=5, shard=(0, 2)).made == 2
    with pytest.raises(ValueError, match=r"part-00001\.parquet"):
        corpus.open(url)
    assert corpus.embed(inputs, url, model, shard_size=5).made == 1
    assert corpus.embed(inputs, url, model).made == 0
    there, here = corpus.open(url), corpus.open(local)
    assert there.ids.tolist() == here.ids.tolist()
    np.testing.assert_array_equal(np.asarray(there.rows), np.asarray(here.rows))
    np.testing.assert_array_equal(there.rows[3:9], here.rows[3:9])
    with pytest.raises(ValueError, match="normalize"):
        corpus.embed(inputs, url, model, normalize=True)


@pytest.mark.slow
def test_an_object_store(bucket, inputs, model, tmp_path):
    check(inputs, model, f"{bucket}/rows", tmp_path / "rows")


def test_any_file_system_of_fsspec(inputs, model, tmp_path, capsys):
    url = "memory://corpus-test/rows"
    check(inputs, model, url, tmp_path / "rows")
    assert main(["search", url, url, "-k", "1", "--json"]) == 0
    assert '"similarity"' in capsys.readouterr().out
