"""Malicious and damaged PyTorch checkpoints."""

from __future__ import annotations

import io
import pickle

import pytest
import torch

from skelrep.checkpoints import load_checkpoint


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_and_plain_containers_are_read(tmp_path, zipped):
    state = {
        "state_dict": {"a.weight": torch.arange(6.0).reshape(2, 3)},
        "epoch": 3,
        "betas": (0.9, 0.99),
        "t": ((1,), []),
    }
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=zipped)
    found = load_checkpoint(tmp_path / "a.pt")
    assert torch.equal(found["state_dict"]["a.weight"], state["state_dict"]["a.weight"])
    assert {key: found[key] for key in ("epoch", "betas", "t")} == {"epoch": 3, "betas": (0.9, 0.99), "t": ((1,), [])}


@pytest.mark.parametrize("zipped", [True, False])
def test_a_key_whose_hash_would_never_be_computed(tmp_path, zipped):
    lines = [b"\x80\x02}(", b"K\x01K\x02\x86q\x00"]
    for number in range(60):
        lines.append(b"h" + bytes([number]) + b"h" + bytes([number]) + b"\x86q" + bytes([number + 1]))
    hostile = b"\x80\x02}q\xff" + b"".join(lines[1:]) + b"K\x01s."  # the last line's key and the value 1
    buffer = io.BytesIO()
    torch.save({"a": 1}, buffer, _use_new_zipfile_serialization=zipped)
    original = buffer.getvalue()
    if zipped:
        import zipfile

        with zipfile.ZipFile(io.BytesIO(original)) as archive, zipfile.ZipFile(tmp_path / "a.pt", "w") as changed:
            for name in archive.namelist():
                changed.writestr(name, hostile if name.endswith("data.pkl") else archive.read(name))
    else:
        (tmp_path / "a.pt").write_bytes(original.replace(pickle.dumps({"a": 1}, protocol=2), hostile))
    with pytest.raises(ValueError, match="damaged"):
        load_checkpoint(tmp_path / "a.pt")


def test_objects_are_refused(tmp_path):
    torch.save({"a": io.BytesIO}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="could run code"):
        load_checkpoint(tmp_path / "a.pt")
