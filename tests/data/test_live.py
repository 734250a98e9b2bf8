"""Live sources over real connections: a web server that stalls, breaks, damages and comes back; pipes."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ssm_sense.data import live_watch
from ssm_sense.data.live import LiveVideo, Trouble, open_source
from ssm_sense.data.live_source import is_live
from ssm_sense.data.video import VideoFile
from ssm_sense.errors import UserError

Reply = Callable[[BaseHTTPRequestHandler, int], None]


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], str]]:
    """Serves one address; the function that is given writes the answer to each request, numbered from 0."""
    servers: list[ThreadingHTTPServer] = []

    def start(reply: Reply) -> str:
        requests = iter(range(1000))

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                reply(self, next(requests))

            def log_message(self, *arguments: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return f"http://127.0.0.1:{server.server_address[1]}/camera"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def stream(handler: BaseHTTPRequestHandler, content: bytes, kind: str = "video/mp2t") -> None:
    """An endless answer: no length is told, and then the connection closes."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.end_headers()
    handler.wfile.write(content)


def send(handler: BaseHTTPRequestHandler, content: bytes, declared_bytes: int) -> None:
    """An answer that tells its length, as a web server does of a file; less content is a connection that broke."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(declared_bytes))
    handler.end_headers()
    handler.wfile.write(content)


def send_chunk(handler: BaseHTTPRequestHandler, content: bytes, declared_bytes: int) -> None:
    """An answer in one piece that does not tell how many there are: where it breaks, it seems to end."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    handler.wfile.write(b"%x\r\n%b\r\n" % (len(content), content) + b"0\r\n\r\n" * (len(content) == declared_bytes))


def watch_pipe(pipe: Path, content: bytes) -> tuple[list[tuple[np.ndarray, float]], list[Trouble], str]:
    """What `watch` gives of content that comes through a pipe."""

    def write() -> None:
        with suppress(BrokenPipeError):
            pipe.write_bytes(content)

    os.mkfifo(pipe)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        return watch(str(pipe))
    finally:
        writer.join()


def watch(source: str, fps: float = 5, **more: Any) -> tuple[list[tuple[np.ndarray, float]], list[Trouble], str]:
    """Frames, troubles, and the error at the end if there is one."""
    frames, troubles = [], []
    try:
        frames.extend(LiveVideo(source, fps, on_trouble=troubles.append, **more))
    except UserError as error:
        return frames, troubles, str(error)
    return frames, troubles, ""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_watch, "FIRST_WAIT_S", 0.02)


def test_a_stream_shows_what_a_file_shows(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.ts", 90)
    url = serve(lambda handler, n: stream(handler, path.read_bytes()))
    frames, troubles, error = watch(url, attempts=0)
    expected = list(VideoFile(path, 5))
    assert "lost after 3.0 s: " in error
    assert troubles == []
    assert [t_s for _, t_s in frames] == [t_s for _, t_s in expected]
    for (frame, _), (same, _) in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame, same)


def test_a_file_that_is_served_ends_where_it_ends(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.mkv", 60)
    frames, troubles, error = watch(serve(lambda handler, n: stream(handler, path.read_bytes(), "video/x-matroska")))
    assert (len(frames), troubles, error) == (10, [], "")


@pytest.mark.parametrize("answer", [send, send_chunk])
def test_a_film_whose_connection_broke_is_shown_once(
    films: Any, serve: Callable[[Reply], str], answer: Callable[[BaseHTTPRequestHandler, bytes, int], None]
) -> None:
    path = films.make("film.mkv", 300)
    whole = path.read_bytes()
    url = serve(lambda handler, n: answer(handler, whole if n else whole[: len(whole) // 2], len(whole)))
    frames, troubles, error = watch(url)
    assert ([trouble.kind for trouble in troubles], error) == (["lost", "reconnected"], "")
    shown = [(films.number(frame), t_s) for frame, t_s in frames]
    assert shown == [(films.number(frame), t_s) for frame, t_s in VideoFile(path, 5)]


def test_a_film_that_breaks_at_one_place_again_and_again_is_given_up(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.mkv", 300)
    whole = path.read_bytes()
    frames, troubles, error = watch(serve(lambda handler, n: send(handler, whole[: len(whole) // 2], len(whole))))
    assert 20 < len(frames) < 30
    assert "lost after" in error
    assert [trouble.kind for trouble in troubles] == ["lost", *["reconnected"] * 5]


def test_a_film_ends_with_its_pictures_though_its_sound_goes_on(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.mp4", 60, sound_s=12.0, faststart=True)
    frames, troubles, error = watch(serve(lambda handler, n: stream(handler, path.read_bytes(), "video/mp4")))
    assert (len(frames), troubles, error) == (10, [], "")


def test_a_film_that_begins_late_ends_where_it_ends(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.mkv", 60, times_ms=range(600_000, 606_000, 100))
    frames, troubles, error = watch(serve(lambda handler, n: stream(handler, path.read_bytes(), "video/x-matroska")))
    assert ([t_s for _, t_s in frames], troubles, error) == ([i / 5 for i in range(30)], [], "")


def test_a_film_that_ends_twice_at_one_place_ends_there(films: Any, serve: Callable[[Reply], str]) -> None:
    """FLV tells of no track how long it is, so that the longer sound makes the first end look like a loss."""
    content = films.make("film.flv", 60, sound_s=9.0).read_bytes()
    frames, troubles, error = watch(serve(lambda handler, n: send(handler, content, len(content))))
    assert ([trouble.kind for trouble in troubles], error) == (["lost", "reconnected"], "")
    assert [films.number(frame) for frame, _ in frames] == list(range(0, 60, 6))


def test_a_lost_connection_is_opened_again_and_time_goes_on(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.ts", 60)

    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        if number in (1, 2):
            handler.send_error(503)
        elif number < 5:
            time.sleep(0.3 if number else 0)
            stream(handler, path.read_bytes())
        else:
            handler.send_error(410)

    frames, troubles, error = watch(serve(reply), attempts=3)
    kinds = [trouble.kind for trouble in troubles]
    assert [kind for kind in kinds if kind != "gap"] == ["lost", "reconnected", "lost", "reconnected", "lost"]
    assert "lost after" in error
    seconds = [t_s for _, t_s in frames]
    assert seconds == sorted(set(seconds))
    assert len(frames) >= 27
    assert 6 <= seconds[-1] <= 9
    assert [films.number(frame) for frame, _ in frames][:3] == [0, 6, 12]


def test_a_gap_is_told_and_nothing_made_up(films: Any, serve: Callable[[Reply], str]) -> None:
    times = [*range(0, 2000, 100), *range(9000, 11000, 100)]
    path = films.make("film.mkv", len(times), times_ms=times, group=1)
    frames, troubles, _ = watch(serve(lambda handler, n: stream(handler, path.read_bytes())), attempts=0)
    (gap,) = [trouble for trouble in troubles if trouble.kind == "gap"]
    assert "no pictures for 7.10 s" in gap.detail
    seconds = [t_s for _, t_s in frames]
    assert not [t_s for t_s in seconds if 2.2 < t_s < 8.9]
    assert 9.0 in seconds


def test_pictures_that_damage_took_are_told(films: Any, serve: Callable[[Reply], str]) -> None:
    content = bytearray(films.make("film.ts", 150, group=10).read_bytes())
    for start in range(188 * 40, 188 * 60, 188):
        content[start + 30 : start + 180] = bytes(150)
    frames, troubles, error = watch(serve(lambda handler, n: stream(handler, bytes(content))), attempts=0)
    assert len(frames) == 25
    assert "lost after" in error
    assert films.number(frames[-1][0]) > 140
    assert [trouble.kind for trouble in troubles] == ["gap"]
    assert 0.3 < troubles[0].t_s < 0.5


def test_packets_that_do_not_decode_are_told_and_passed_over(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.mkv", 60, group=1)
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for number in (20, 21, 40):
        start = content.index(packets[number])
        content[start : start + len(packets[number])] = b"\xff" * len(packets[number])
    frames, troubles, error = watch(
        serve(lambda handler, n: stream(handler, bytes(content), "video/x-matroska")), fps=30
    )
    assert (len(frames), error) == (60, "")
    assert [trouble.kind for trouble in troubles] == ["corrupt", "corrupt"]
    numbers = [films.number(frame) for frame, _ in frames]
    assert numbers[19:23] == [19, 19, 19, 22]


def test_a_clock_that_begins_anew_goes_on(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.ts", 120)
    url = serve(lambda handler, n: stream(handler, path.read_bytes() * 2))
    frames, troubles, _ = watch(url, attempts=0)
    assert [trouble.kind for trouble in troubles if trouble.kind == "clock"] == ["clock"]
    seconds = [t_s for _, t_s in frames]
    assert seconds == sorted(set(seconds))
    assert len(frames) >= 38


def test_timestamps_that_begin_anew_after_a_day_are_no_trouble(film_of_days: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(film_of_days.read_bytes()))
    writer.start()
    frames, troubles, error = watch(str(pipe), fps=0.001, gap_s=5000)
    writer.join()
    assert error == ""
    assert {trouble.kind for trouble in troubles} == {"gap"}
    assert [t_s for _, t_s in frames] == [1000.0 * n for n in range(200)]


def test_connections_that_give_pictures_are_no_failed_attempts(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.ts", 20)

    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        stream(handler, path.read_bytes()) if number < 6 else handler.send_error(410)

    # A frame a hundred seconds: none is due while these connections last.
    frames, troubles, error = watch(serve(reply), fps=0.01, attempts=2)
    assert len(frames) == 1
    assert [trouble.kind for trouble in troubles if trouble.kind != "gap"] == [*["lost", "reconnected"] * 5, "lost"]
    assert "lost after" in error


def test_pictures_without_times_keep_to_the_wall_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(live_watch.time, "monotonic", lambda: now)
    watched = live_watch.Watch(LiveVideo("http://camera/live"), lambda trouble: None)
    watched._usual_s = 0.04
    watched._held = np.zeros((2, 2, 3), np.uint8), Fraction(0)
    for number in range(2 * 3600):
        now += 0.07 if number % 2 else 0.01
        begins = watched._clock(None, anchored=False)
        assert begins is not None
        watched._held = watched._held[0], begins
        now += 0.01  # while the frames were looked at
        watched._seen_at = now
    assert float(begins) == pytest.approx(now, abs=0.1)


def test_a_server_that_stalls_is_left(films: Any, serve: Callable[[Reply], str]) -> None:
    path, done = films.make("film.ts", 60), threading.Event()

    def reply(handler: BaseHTTPRequestHandler, number: int) -> None:
        stream(handler, path.read_bytes())
        done.wait(10)

    begun = time.monotonic()
    frames, _, error = watch(serve(reply), attempts=0, timeout_s=0.5)
    done.set()
    assert time.monotonic() - begun < 5
    assert len(frames) >= 8
    assert "lost after" in error


def test_a_track_that_appears_on_the_way_is_no_trouble(films: Any, tmp_path: Path) -> None:
    noise = list(np.random.default_rng(0).integers(0, 255, (12, 480, 640, 3), np.uint8))
    silent = films.make("silent.flv", noise, rate=10, crf="1", bf="0")
    with_sound = films.make("sound.flv", 60, times_ms=range(1200, 7200, 100), sound_s=6.0)
    header_bytes = 13
    assert silent.stat().st_size > 5_000_000  # which is as far as FFmpeg looks for tracks
    content = silent.read_bytes() + with_sound.read_bytes()[header_bytes:]
    frames, troubles, error = watch_pipe(tmp_path / "pipe", content)
    assert (len(frames), troubles, error) == (36, [], "")


def test_what_cannot_be_decoded_is_one_clear_error(films: Any, serve: Callable[[Reply], str], tmp_path: Path) -> None:
    content = films.make("film.mkv", 30).read_bytes().replace(b"V_MPEG4/ISO/AVC", b"V_XXXX4/ISO/XXX")
    url, pipe = serve(lambda handler, n: stream(handler, content)), tmp_path / "pipe"
    assert watch(url) == ([], [], f"{url}: holds no video that can be decoded")
    assert watch_pipe(pipe, content) == ([], [], f"{pipe}: holds no video that can be decoded")


def test_a_secure_stream_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def answer() -> None:
        connection, _ = proxy.accept()
        with connection:
            asked.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as proxy:
        proxy.settimeout(5)
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.getsockname()[1]}")
        monkeypatch.setenv("no_proxy", "")
        answering = threading.Thread(target=answer)
        answering.start()
        error = watch("https://camera.invalid/live", timeout_s=5)[2]
        if not asked:
            socket.create_connection(proxy.getsockname()).close()
        answering.join()
    assert asked[0].startswith(b"CONNECT camera.invalid:443 ")
    assert error.startswith("https://camera.invalid/live: cannot be opened: ")


def test_what_cannot_be_opened_is_one_clear_error(serve: Callable[[Reply], str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/camera"
    for source in (closed, serve(lambda handler, n: handler.send_error(404)), "/dev/video987"):
        assert watch(source, timeout_s=2)[2].startswith(f"{source}: cannot be opened: ")
    url = serve(lambda handler, n: stream(handler, b"<html>no camera</html>" * 100, "text/html"))
    assert "cannot be opened" in watch(url, timeout_s=2)[2]
    for source in ("ftp://a/b", "film.mp4", "file:///etc/passwd", "concat:a|b"):
        with pytest.raises(UserError, match="expected a URL"):
            LiveVideo(source)
    with pytest.raises(ValueError, match=r"expected 0\.0001 to 1000 frames"):
        LiveVideo(closed, fps=0)


def test_a_playlist_cannot_read_files(films: Any, serve: Callable[[Reply], str]) -> None:
    secret = films.make("secret.ts", 30)
    text = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{secret}\n#EXT-X-ENDLIST\n".encode()
    frames, _, error = watch(
        serve(lambda handler, n: stream(handler, text, "application/vnd.apple.mpegurl")), attempts=0, timeout_s=2
    )
    assert frames == []
    assert error


def test_a_pipe_ends_where_it_ends(films: Any, tmp_path: Path) -> None:
    path, pipe = films.make("film.ts", 60), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
    assert is_live(str(pipe))
    writer.start()
    frames, troubles, error = watch(str(pipe))
    writer.join()
    assert (len(frames), troubles, error) == (10, [], "")


def test_a_size_is_kept(films: Any, serve: Callable[[Reply], str]) -> None:
    path = films.make("film.mkv", 30)
    source = open_source(serve(lambda handler, n: stream(handler, path.read_bytes())), size=(32, 40))
    assert isinstance(source, LiveVideo)
    assert {frame.shape for frame, _ in source} == {(32, 40, 3)}
    assert isinstance(open_source(str(path)), VideoFile)
