"""An RTSP camera: a small server that describes one H.264 track and sends it as RTP over the same connection."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import pytest

from ssm_sense.data import live_watch
from ssm_sense.data.live import LiveVideo, Trouble
from ssm_sense.errors import UserError

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track1\r\n"
)
RATE = 30


class Camera:
    """Sends a film once to each who asks, then hangs up."""

    def __init__(self, film: Path) -> None:
        with av.open(str(film)) as container:
            packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
        self._pictures = [
            [nal for nal in packet.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if nal] for packet in packets
        ]
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"rtsp://127.0.0.1:{self._socket.getsockname()[1]}/camera"
        self.transports: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as requests:
                self._answer(connection, requests)

    def _answer(self, connection: socket.socket, requests: Any) -> None:
        while line := requests.readline():
            method, headers = line.split()[0].decode(), {}
            while (header := requests.readline().decode().strip()) != "":
                name, _, value = header.partition(":")
                headers[name.lower()] = value.strip()
            more, body = "", ""
            if method == "DESCRIBE":
                body = SDP
                more = f"Content-Base: {self.url}/\r\nContent-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n"
            elif method == "SETUP":
                self.transports.append(headers["transport"])
                more = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
            elif method == "OPTIONS":
                more = "Public: DESCRIBE, SETUP, PLAY\r\n"
            answer = f"RTSP/1.0 200 OK\r\nCSeq: {headers['cseq']}\r\nSession: 1\r\n{more}\r\n{body}"
            connection.sendall(answer.encode())
            if method == "PLAY":
                self._send(connection)
                return

    def _send(self, connection: socket.socket) -> None:
        number = 0
        for picture, nals in enumerate(self._pictures):
            for i, nal in enumerate(nals):
                last = 0x80 if i == len(nals) - 1 else 0
                packet = struct.pack(">BBHII", 0x80, last | 96, number & 0xFFFF, picture * 90_000 // RATE, 7) + nal
                connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
                number += 1


@pytest.fixture
def camera(films: Any) -> Iterator[Camera]:
    server = Camera(films.make("film.h264", 90, rate=RATE, bf="0"))
    yield server
    server.close()


def test_an_rtsp_camera(films: Any, camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_watch, "FIRST_WAIT_S", 0.02)
    frames, troubles = [], list[Trouble]()
    source = LiveVideo(camera.url, 5, attempts=0, timeout_s=5, on_trouble=troubles.append)
    with pytest.raises(UserError, match="lost after"):
        frames.extend(source)
    assert all("TCP" in transport for transport in camera.transports)
    assert [t_s for _, t_s in frames] == [i / 5 for i in range(15)]
    assert [films.number(frame) for frame, _ in frames] == list(range(0, 90, 6))
    assert troubles == []


def test_a_camera_that_hangs_up_is_called_again(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_watch, "FIRST_WAIT_S", 0.02)
    troubles: list[Trouble] = []
    seconds = []
    for _, t_s in LiveVideo(camera.url, 5, timeout_s=5, on_trouble=troubles.append):
        seconds.append(t_s)
        if len(seconds) == 40:
            break
    assert seconds == sorted(set(seconds))
    kinds = [trouble.kind for trouble in troubles if trouble.kind != "gap"]
    assert kinds == ["lost", "reconnected"] * 2
