"""Videos from untrusted sources: no request, no other file, no memory beyond what their size allows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest

from skelrep import read
from tests.videos import Squares, picture, write_video

av = pytest.importorskip("av")


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a server on the loopback interface, and the paths that it was asked for."""
    paths: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()


def lists(address: str, video: Path) -> dict[str, str]:
    """Files of text that FFmpeg follows to other files or addresses."""
    return {
        "playlist": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{address}/a.ts\n#EXT-X-ENDLIST\n",
        "playlist of playlists": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{address}/b.m3u8\n",
        "playlist of files": f"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{video}\n#EXT-X-ENDLIST\n",
        "concatenation": f"ffconcat version 1.0\nfile {video.name}\n",
        "session": f"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        f"a=rtpmap:96 H264/90000\na=control:{address}/c\n",
        "manifest": f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
        f'<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{address}/d.mp4</BaseURL>'
        f"</Representation></AdaptationSet></Period></MPD>",
    }


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("kind", list(lists("", Path())))
def test_lists_of_addresses_and_files_are_no_videos(kind, suffix, asked, tmp_path):
    address, paths = asked
    video = write_video(tmp_path / "other.mp4", [picture((40, 60))] * 3)
    path = tmp_path / f"a{suffix}"
    path.write_text(lists(address, video)[kind])
    with pytest.raises(ValueError, match=rf"a\{suffix}") as caught:
        read(path, pose_model=Squares())
    assert "\n" not in str(caught.value) and paths == []


@pytest.mark.parametrize("prefix", ["http:", "concat:", "file:", "subfile,,start,0,end,0,,:", "data:"])
def test_names_that_look_like_addresses_are_files(prefix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / prefix).mkdir()
    write_video(tmp_path / "a.mp4", [picture((40 + i, 60)) for i in range(5)]).rename(tmp_path / prefix / "a.mp4")
    poses = read(Path(prefix) / "a.mp4", pose_model=Squares())
    assert poses.ids == ["a"] and poses.clips[0].shape[1] == 5


def test_large_frames_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    frame = np.zeros((2400, 3200, 3), np.uint8)
    frame[1000:1009, 1000:1009] = 255
    path = write_video(tmp_path / "large.mp4", [frame] * 2)
    assert path.stat().st_size < 200_000
    seen = []

    class Counting(Squares):
        def __call__(self, image, seconds):
            seen.append(image.shape)
            return super().__call__(image, seconds)

    with pytest.raises(ValueError, match=r"large\.mp4.*SKELREP_MAX_GIGABYTES"):
        read(path, pose_model=Counting())
    assert not seen
    monkeypatch.setenv("SKELREP_MAX_GIGABYTES", "1")
    read(path, pose_model=Counting())
    assert seen == [(2400, 3200, 3)] * 2


def test_frames_that_become_larger_are_refused(tmp_path):
    """The header promises small frames; the decoder would allocate those that come."""
    small = write_video(tmp_path / "small.avi", [picture((40, 60))] * 3)
    frame = np.zeros((2400, 3200, 3), np.uint8)
    large = write_video(tmp_path / "large.avi", [frame] * 3)
    with av.open(str(small)) as one, av.open(str(large)) as other, av.open(str(tmp_path / "a.avi"), "w") as made:
        stream = made.add_stream_from_template(one.streams.video[0])
        last = 0
        for source in (one, other):
            for packet in source.demux(source.streams.video[0]):
                if packet.dts is not None:
                    packet.stream = stream
                    packet.pts = packet.dts = last = last + 40
                    made.mux(packet)
    seen = []

    class Watching(Squares):
        def __call__(self, image, seconds):
            seen.append(image.shape[:2])
            return super().__call__(image, seconds)

    with pytest.raises(ValueError, match=r"a\.avi"):
        read(tmp_path / "a.avi", pose_model=Watching())
    assert set(seen) <= {(120, 160)}
