"""`skelrep info`: what is said of a file and of a model."""

from __future__ import annotations

import json

from skelrep.cli import main


def test_info_of_a_file_and_of_a_model(files, model, capsys):
    assert main(["info", "train.npz", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["clips"] == 12 and facts["skeleton"] == "kinect-20" and facts["labels"] == ["bow", "run", "sit"]
    assert main(["info", model]) == 0
    assert "common-15" in capsys.readouterr().out
