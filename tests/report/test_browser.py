"""The page in headless Chromium: nothing goes wrong on it, and nothing is asked of anybody.

The page is opened through the DevTools protocol over a pipe, in both themes and at two widths. Skipped where no
Chromium is on the PATH; what can be said without a browser is in test_page.py.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")
BROWSER = next((found for name in NAMES if (found := shutil.which(name))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
)
WIDTHS = {"desk": 1280, "phone": 390}

pytestmark = pytest.mark.skipif(BROWSER is None, reason=f"no browser on the PATH; looked for {', '.join(NAMES)}")


class Browser:
    """One tab of a browser that is spoken to over file descriptors 3 and 4."""

    def __init__(self, profile: Path) -> None:
        (theirs_in, mine_out), (mine_in, theirs_out) = os.pipe(), os.pipe()

        def descriptors() -> None:
            # Copied out of the way first, so that neither is overwritten before it is moved.
            low, high = os.dup2(theirs_in, 100), os.dup2(theirs_out, 101)
            os.dup2(low, 3)
            os.dup2(high, 4)

        self.process = subprocess.Popen(
            [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            preexec_fn=descriptors, close_fds=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.to, self.replies = os.fdopen(mine_out, "wb"), os.fdopen(mine_in, "rb")
        self.number, self.heard, self.tab = 0, [], None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.tab = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters) -> dict:
        """What the browser answers; events that come before are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        message |= {"sessionId": self.tab} if self.tab else {}
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while (heard := self.hear()).get("id") != self.number:
            self.heard.append(heard)
        assert "error" not in heard, heard
        return heard["result"]

    def hear(self) -> dict:
        """The next message."""
        found = bytearray()
        while (byte := self.replies.read(1)) != b"\0":
            assert byte, "the browser ended"
            found += byte
        return json.loads(found)

    def open(self, url: str) -> list[dict]:
        """Everything that happened until the page was there."""
        self.heard.clear()
        self.call("Page.navigate", url=url)
        while not any(message.get("method") == "Page.loadEventFired" for message in self.heard):
            self.heard.append(self.hear())
        return list(self.heard)

    def value(self, expression: str) -> object:
        """Of a script's expression on the page."""
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]

    def close(self) -> None:
        self.call("Browser.close")
        self.process.wait(timeout=30)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("profile"))
    try:
        yield opened
    finally:
        opened.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_no_error_no_request_and_nothing_is_wider_than_the_screen(page, browser, width, theme):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    size = {"width": WIDTHS[width], "height": 900, "deviceScaleFactor": 1, "mobile": width == "phone"}
    browser.call("Emulation.setDeviceMetricsOverride", **size)
    events = browser.open(page[0].as_uri())
    said = [e for e in events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded")]
    assert said == []
    assert not any(e["method"] == "Runtime.consoleAPICalled" for e in events if "method" in e)
    asked = [e["params"]["request"]["url"] for e in events if e.get("method") == "Network.requestWillBeSent"]
    assert page[0].as_uri() in asked
    assert [url for url in asked if url != page[0].as_uri() and not url.startswith("data:")] == []
    assert browser.value("document.documentElement.scrollWidth") <= WIDTHS[width]
    paper = {"light": "rgb(254, 254, 253)", "dark": "rgb(21, 23, 26)"}[theme]
    assert browser.value("getComputedStyle(document.body).backgroundColor") == paper
    hidden = {"desk": "svg.narrow", "phone": "svg.wide"}[width]
    assert browser.value(f"getComputedStyle(document.querySelector('figure {hidden}')).display") == "none"
    broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    assert browser.value("document.images.length") > 0
    assert browser.value(broken) == 0
