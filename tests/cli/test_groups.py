"""`--leave-one-out --groups COLUMN` of knn, probe and search, against the functions that they call."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from skelrep import knn_eval, linear_eval, retrieve
from skelrep.cli import main
from skelrep.io.embeddings import Embeddings, save

SUBJECT = np.array([f"S{i}" for i in np.arange(30) // 8])  # three of 8 clips and one of 6


@pytest.fixture
def stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    labels = np.array(["sit", "run", "bow"])[np.arange(30) % 3]
    rows = (rng.normal(size=(3, 6))[np.arange(30) % 3] + rng.normal(size=(30, 6))).astype(np.float32)
    ids = np.array([f"clip {i}" for i in range(30)])
    table = Embeddings(rows, ids=ids, labels=labels, info={"subject": SUBJECT}, model="model")
    save(table, "rows.npz")
    return table


def run(capsys, *arguments):
    assert main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_knn_leaves_out_the_group(stored, capsys):
    found = run(capsys, "knn", "rows.npz", "--leave-one-out", "--groups", "subject", "-k", "1", "3")
    expected = knn_eval(stored.rows, stored.labels, leave_one_out=True, groups=SUBJECT, k=(1, 3))
    assert found["accuracy"] == {str(k): value for k, value in expected.accuracy.items()}
    assert found["protocol"]["n_groups"] == 4


def test_probe_leaves_out_the_group(stored, capsys):
    found = run(capsys, "probe", "rows.npz", "--leave-one-out", "--groups", "subject")
    expected = linear_eval(stored.rows, stored.labels, leave_one_out=True, groups=SUBJECT)
    assert found["accuracy"] == expected.accuracy and found["protocol"]["n_groups"] == 4


@pytest.mark.parametrize("k", [None, 22])
def test_search_leaves_out_the_group(stored, k, capsys):
    more = [] if k is None else ["-k", str(k)]
    found = run(capsys, "search", "rows.npz", "rows.npz", "--groups", "subject", *more)
    expected = retrieve(stored.rows, stored.rows, k=k or 10, leave_one_out=True, groups=SUBJECT)
    answers = [[int(one["id"].split()[1]) for one in query["neighbours"]] for query in found["queries"]]
    assert answers == expected.indices.tolist()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("knn rows.npz rows.npz --groups subject", "--groups .* needs --leave-one-out"),
        ("knn rows.npz --leave-one-out --groups subjet", "'subjet' .* 'subject'"),
        ("knn rows.npz rows.npz --leave-one-out", "no TEST and no --splits"),
        ("probe rows.npz --leave-one-out", "--groups COLUMN"),
        ("search rows.npz few.npz --groups subject", "--groups .* BANK"),
    ],
)
def test_misplaced_groups_are_refused(stored, command, message, capsys):
    save(stored.take(np.arange(30) < 9), "few.npz")
    assert main(command.split()) == (1 if "subjet" in command else 2)  # only that one depends on the file
    error = capsys.readouterr().err
    assert re.search(message, error), error
