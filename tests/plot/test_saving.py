"""Animations as files: their speed, their size in memory, and ranges of long recordings."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from skelrep import Poses
from skelrep.cli import main
from skelrep.plot import animate, save, saving
from skelrep.plot.animation import Film
from tests.plot.bodies import COMMON, colours, walking


def test_gif_plays_at_the_speed_of_the_clip(tmp_path):
    save(walking(frames=30, fps=30.0), tmp_path / "clip.gif")
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == 25 and image.info["duration"] == 40 and image.info["loop"] == 0  # 1 s
        first = image.convert("RGB")
        image.seek(image.n_frames - 1)
        last = image.convert("RGB")
    assert first.getpixel((0, 0)) == (255, 255, 255)
    assert min(colours(first)) > 50 and min(colours(last)) > 50
    assert (np.asarray(first) != np.asarray(last)).any(axis=-1).mean() > 0.02
    save(walking(frames=30), tmp_path / "slow.gif", pictures=5)
    with Image.open(tmp_path / "slow.gif") as image:
        assert image.n_frames == 5 and image.info["duration"] == 200


def test_animate_returns_an_animation_of_matplotlib():
    figure_animation = animate(walking(frames=6, fps=10.0))
    page = figure_animation.to_jshtml()
    assert page.count("frames[") >= 6


def test_command_draws_the_named_clip(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clips = [walking().clips[0], walking(frames=25).clips[0]]
    Poses(clips, COMMON, ["one", "other"], fps=25.0).save("clips.npz")
    for clip, frames in (("one", 10), ("1", 25)):
        assert main(["plot", "clips.npz", "-o", "clip.gif", "--clip", clip, "--view", "80"]) == 0
        with Image.open("clip.gif") as image:
            assert image.n_frames == frames
    assert "other, one of 2 clips, -> clip.gif" in capsys.readouterr().err
    assert main(["plot", "clips.npz", "-o", "clip.gif", "--clip", "othr"]) == 1
    assert "did you mean 'other'?" in capsys.readouterr().err


@pytest.mark.parametrize("rate", [25.0, 30.0, 24.0, 7.0, 50.0])
def test_delays_of_a_gif_add_up_to_its_duration(rate):
    delays = [delay for delay, _ in zip(saving._hundredths(rate), range(300))]
    assert abs(np.sum(delays) - 100 * 300 / rate) <= 0.5
    assert max(delays) - min(delays) <= 1


def test_pictures_of_a_gif_are_those_that_were_rendered(tmp_path):
    poses = walking(frames=8, persons=2)
    save(poses, tmp_path / "clip.gif", pictures=30)
    rendered = list(Film.of(poses, None, 30.0, None, 30, None, None, "auto").render())
    with Image.open(tmp_path / "clip.gif") as image:
        assert image.n_frames == len(rendered) == 8
        for number, expected in enumerate(rendered):
            image.seek(number)
            difference = np.abs(np.asarray(image.convert("RGB")).astype(int) - expected)
            assert difference.mean() < 1 and (difference.max(axis=2) > 40).mean() < 0.002  # 128 colours


def test_unchanged_pictures_stay_in_a_gif(tmp_path):
    poses = walking(frames=8)
    still = Poses([np.repeat(poses.clips[0][:, :1], 8, axis=1)], COMMON, fps=30.0)
    save(still, tmp_path / "still.gif", pictures=0.1)
    with Image.open(tmp_path / "still.gif") as image:
        assert image.info["duration"] == 10_000


def test_mp4_plays_at_the_speed_of_the_clip(tmp_path):
    av = pytest.importorskip("av", reason="needs PyAV: pip install av")
    save(walking(frames=45, fps=30.0), tmp_path / "clip.mp4", pictures=15)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 15
        pictures = [frame.to_image() for frame in container.decode(video=0)]
    assert len(pictures) == 23  # 1.5 s
    first, last = pictures[0], pictures[-1]
    assert first.width % 2 == first.height % 2 == 0
    assert min(colours(first)) > 50 and min(colours(last)) > 50
    assert (np.abs(np.asarray(first).astype(int) - np.asarray(last)) > 60).any(axis=-1).mean() > 0.02


def test_missing_pyav_is_reported_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ModuleNotFoundError, match="pip install .av"):
        save(walking(), tmp_path / "clip.mp4")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("output", "message"), [("clip.jpg", ".png"), ("no/clip.png", "no does not exist")])
def test_the_output_is_checked_before_the_poses_are_read(tmp_path, monkeypatch, capsys, output, message):
    monkeypatch.chdir(tmp_path)
    assert main(["plot", "missing.npz", "-o", output]) == 1
    assert message in capsys.readouterr().err


def test_only_the_range_is_drawn(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    walking(frames=300, fps=30.0).save("long.npz")
    assert main(["plot", "long.npz", "--start", "2", "--end", "3", "-o", "part.gif", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["output"] == "part.gif"
    with Image.open("part.gif") as image:
        assert image.n_frames == 25
    assert main(["plot", "long.npz", "--start", "20", "-o", "part.gif"]) == 1
    assert "lasts 10 s" in capsys.readouterr().err


def test_long_recordings_need_a_range(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    long = Poses([np.repeat(walking(frames=2).clips[0], 9000, axis=1)], COMMON, fps=30.0)  # ten minutes
    long.save("long.npz")
    assert main(["plot", "long.npz", "-o", "long.gif"]) == 1
    error = capsys.readouterr().err
    for fact in ("600 s", "15000 pictures", "4 min", "3000", "--start 0", "--end 20"):
        assert fact in error, error
    assert not (tmp_path / "long.gif").exists()
    for function in (animate, lambda poses: save(poses, "long.mp4")):
        with pytest.raises(ValueError, match="15000 pictures"):
            function(long)
    with pytest.warns(UserWarning, match="1000 pictures"):  # a range is drawn, however long
        Film.of(long, None, 0.0, None, None, 0.0, 40.0, "auto")
    with pytest.warns(UserWarning, match="15000 pictures"):
        Film.of(long, None, 0.0, None, None, 0.0, None, "auto")


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_memory_does_not_grow_with_the_number_of_pictures(suffix, tmp_path):
    pytest.importorskip("av", reason="needs PyAV: pip install av")
    pytest.importorskip("resource", reason="peak memory is not told on this system")

    def peak(frames):
        """The memory of a separate process in megabytes."""
        code = (
            "import resource; from skelrep.plot import save; from tests.plot.bodies import walking; "
            f"save(walking(frames={frames}, fps=10.0), {str(tmp_path / ('clip' + suffix))!r}, pictures=10); "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        return float(done.stdout)

    # A picture is 170 kB: kept in memory, 400 of them are 70 MB.
    assert peak(430) - peak(30) < 25
