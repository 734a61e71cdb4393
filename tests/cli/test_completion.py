"""Tab completion in bash."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture
def completed(tmp_path, monkeypatch):
    """What bash offers after a line is typed and Tab is pressed."""
    pytest.importorskip("argcomplete", reason="needs argcomplete: pip install '.[completion]'")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "skelrep"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -X importtime -m skelrep "$@" 2>>"{tmp_path}/imports"\n')
    program.chmod(0o755)
    code = "import argcomplete; print(argcomplete.shellcode(['skelrep']))"  # what register-python-argcomplete prints
    script = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    (tmp_path / "completion.bash").write_text(script)
    path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(Path(__file__).parents[2])}

    def press_tab(line: str) -> list[str]:
        words = line.split(" ")
        commands = f"""
            source completion.bash
            COMP_WORDS=({" ".join(map(shlex.quote, words))}); COMP_CWORD={len(words) - 1}; COMP_TYPE=9
            COMP_LINE={shlex.quote(line)}; COMP_POINT={len(line)}
            handler=$(complete -p skelrep | sed 's/.*-F \\([^ ]*\\).*/\\1/')
            "$handler" skelrep {shlex.quote(words[-1])} {shlex.quote(words[-2])}
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run(["bash", "-c", commands], env=environment, capture_output=True, text=True, check=True)
        return [offer.strip() for offer in done.stdout.splitlines() if offer.strip()]

    return press_tab


def test_tab_completes_commands_options_names_and_files(completed, tmp_path):
    (tmp_path / "clips.npz").touch()
    assert completed("skelrep sea") == ["search"]
    assert completed("skelrep ex") == ["explore", "export", "export-onnx"]
    assert completed("skelrep search --leave") == ["--leave-one-out"]
    assert completed("skelrep search cl") == ["clips.npz"]
    assert sorted(completed("skelrep info i2")) == ["i2md-small", "i2md-small-open", "i2md-stream"]
    assert completed("skelrep embed x --streams b") == ["bone"]
    assert completed("skelrep explore x --map ") == ["pca", "umap"]
    assert completed("skelrep embed x --precision b") == ["bfloat16"]
    assert completed("skelrep knn x --metric e") == ["euclidean"]
    assert completed("skelrep pretrain i2md_") == ["i2md_small", "i2md_stream", "i2md_pku"]
    assert completed("skelrep embed x --fps ") == []
    assert completed("skelrep embed x --skeleton kin") == ["kinect-20"]
    imports = (tmp_path / "imports").read_text()
    assert "argcomplete" in imports and "skelrep.skeletons" in imports
    assert "torch" not in imports
