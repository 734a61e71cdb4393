"""`skelrep knn` and `probe`, of poses and of stored embeddings."""

from __future__ import annotations

import json
from dataclasses import replace

from skelrep.cli import main


def test_knn_and_probe(files, model, capsys):
    assert main(["knn", "train.npz", "test.npz", "-m", model, "-k", "1", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["accuracy"]["1"] == 1.0
    assert main(["probe", "train.npz", "test.npz", "-m", model, "--groups", "subject"]) == 0
    assert "linear probe" in capsys.readouterr().out
    main(["embed", "train.npz", "-m", model, "-o", "a.npz", "-q"])
    main(["embed", "test.npz", "-m", model, "-o", "b.npz", "-q"])
    assert main(["knn", "a.npz", "b.npz", "-k", "1", "3", "--json"]) == 0  # embeddings stored before: no model needed
    again = json.loads(capsys.readouterr().out)
    assert again["accuracy"] == document["accuracy"]
    assert main(["knn", "train.npz", "--leave-one-out", "-m", model, "-k", "1"]) == 0


def test_knn_of_two_splits_of_a_file(poses, files, model, capsys):
    subject = poses.info["subject"]
    replace(poses, info={"a": subject < 2, "b": subject >= 2}).save("both.npz")
    assert main(["knn", "both.npz", "--splits", "a", "b", "-m", model, "-k", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["n_train"] == document["protocol"]["n_test"] == 12


def test_splits_of_stored_embeddings_and_models_that_differ(poses, files, model, capsys):
    subject = poses.info["subject"]
    replace(poses, info={"a": subject < 2, "b": subject >= 2}).save("both.npz")
    assert main(["embed", "both.npz", "-m", model, "-o", "rows.npz", "-q"]) == 0
    assert main(["knn", "rows.npz", "--splits", "a", "b", "-k", "1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["n_train"] == document["protocol"]["n_test"] == 12
    main(["embed", "test.npz", "-m", model, "-o", "joint.npz", "--streams", "joint", "-q"])
    assert main(["knn", "rows.npz", "joint.npz"]) == 1
    assert "cannot be compared; embed both in the same way" in capsys.readouterr().err
    (files / "broken.npz").write_bytes((files / "rows.npz").read_bytes()[:999])
    assert main(["knn", "broken.npz", "rows.npz"]) == 1
    assert "broken.npz is damaged" in capsys.readouterr().err
