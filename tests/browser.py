"""Headless Chromium for tests, driven by the DevTools protocol over a pipe, which needs no package and no network.

The protocol: https://chromedevtools.github.io/devtools-protocol/. Messages are JSON, each ends with a zero byte; the
browser reads them from file descriptor 3 and writes to 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome") if os.name == "posix" else ()  # pipes by number
CHROMIUM = next(filter(None, map(shutil.which, _NAMES)), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"]
FLAGS += ["--disable-dev-shm-usage"]  # which is small in containers
PATIENCE = 60.0  # seconds until something that never comes true is an error; a busy machine is slow, not wrong
SHIFT, ALT, CONTROL = 8, 1, 2
_KEYS = {"Enter": (13, "\r"), "Escape": (27, ""), "Tab": (9, ""), " ": (32, " ")}
_KEYS |= {f"Arrow{side}": (37 + i, "") for i, side in enumerate(("Left", "Up", "Right", "Down"))}


class Chromium:
    """The browser; `tab` opens a page."""

    def __init__(self, folder: Path) -> None:
        """Starts it with a new profile below `folder`."""
        import fcntl  # not on Windows

        ours, theirs = os.pipe(), os.pipe()  # messages to the browser, and from it
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (ours[0], theirs[1])]
        command = f'exec "$0" "$@" 3<&{high[0]} 4>&{high[1]}'
        words = ["bash", "-c", command, str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"]
        self.process = subprocess.Popen(
            words, pass_fds=high, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        for fd in (*high, ours[0], theirs[1]):
            os.close(fd)
        self.output, self.input = ours[1], theirs[0]
        self.buffer = b""
        self.last = 0
        self.events: list[dict[str, Any]] = []
        self.downloads = folder / "downloads"
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Calls a method and waits for its result; events that come before it are kept."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters} | (
            {"sessionId": session} if session else {}
        )
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") != self.last:
                self.events.append(answer)
            elif "error" in answer:
                raise RuntimeError(f"{method}: {answer['error']}")
            else:
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            if not select.select([self.input], [], [], PATIENCE)[0]:
                raise TimeoutError("the browser does not answer")
            if not (part := os.read(self.input, 2**20)):
                raise RuntimeError("the browser has ended")
            self.buffer += part
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def tab(self, address: str, size: tuple[int, int] = (1200, 700), dark: bool = False) -> Tab:
        """Opens a page in a new tab and waits until it is loaded."""
        return Tab(self, address, size, dark)

    def close(self) -> None:
        """Ends the browser."""
        self.call("Browser.close")
        self.process.wait(PATIENCE)
        os.close(self.output)
        os.close(self.input)


class Tab:
    """A page, with a mouse and a keyboard."""

    def __init__(self, browser: Chromium, address: str, size: tuple[int, int], dark: bool) -> None:
        """See `Chromium.tab`."""
        self.browser = browser
        self.target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=self.target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.resize(*size)
        self.scheme("dark" if dark else "light")
        self.call("Page.navigate", url=address)
        self.until(lambda: self.happened("Page.loadEventFired"))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Calls a method of this tab."""
        return self.browser.call(method, self.session, **parameters)

    def happened(self, method: str) -> list[dict[str, Any]]:
        """The parameters of all events of a kind so far."""
        self.evaluate("0")  # receives what has come
        mine = [event for event in self.browser.events if event.get("sessionId") == self.session]
        return [event["params"] for event in mine if event["method"] == method]

    def complaints(self) -> list[Any]:
        """Errors, and what the page wrote to the console."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event for kind in kinds for event in self.happened(kind)]

    def requests(self) -> list[str]:
        """The addresses that were asked for."""
        return [event["request"]["url"] for event in self.happened("Network.requestWillBeSent")]

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or of a promise."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description"))
        return answer["result"].get("value")

    def until(self, condition: str | Callable[[], Any]) -> Any:
        """Waits until an expression or a function is true; returns its value."""
        end = time.monotonic() + PATIENCE
        while not (value := self.evaluate(condition) if isinstance(condition, str) else condition()):
            if time.monotonic() > end:
                raise AssertionError(f"never came true: {condition}")
            time.sleep(0.02)
        return value

    def text(self, selector: str) -> str:
        """The text of the first element that matches."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")

    def middle(self, selector: str) -> tuple[float, float]:
        """Where the first element that matches is."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        return tuple(self.evaluate(f"(({{x, y, width, height}}) => [x + width / 2, y + height / 2])({box})"))

    def mouse(self, kind: str, at: Sequence[float], keys: int = 0, **more: Any) -> None:
        """An event of the mouse: "Moved", "Pressed", "Released" or "Wheel"; `keys` are SHIFT, ALT and CONTROL."""
        self.call("Input.dispatchMouseEvent", type=f"mouse{kind}", x=at[0], y=at[1], modifiers=keys, **more)

    def click(self, where: str | Sequence[float], keys: int = 0) -> None:
        """Clicks on an element, or at a place."""
        at = self.middle(where) if isinstance(where, str) else where
        self.mouse("Moved", at, keys)
        for kind in ("Pressed", "Released"):
            self.mouse(kind, at, keys, button="left", clickCount=1)

    def drag(self, path: Sequence[Sequence[float]], keys: int = 0) -> None:
        """Presses the button at the first place, moves to all others, and releases it."""
        self.mouse("Moved", path[0], keys)
        self.mouse("Pressed", path[0], keys, button="left", clickCount=1)
        for at in path[1:]:
            self.mouse("Moved", at, keys, button="left", buttons=1)
        self.mouse("Released", path[-1], keys, button="left", clickCount=1)

    def press(self, *keys: str, modifiers: int = 0) -> None:
        """Presses keys, one after the other: "Escape", "ArrowLeft", "a" ..."""
        for key in keys:
            code, text = _KEYS.get(key, (ord(key[0].upper()), key))
            event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
            self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **event)
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def write(self, text: str) -> None:
        """Types text into the element that has the focus."""
        self.call("Input.insertText", text=text)

    def resize(self, width: int, height: int) -> None:
        """The size of the page in pixels."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def scheme(self, name: str) -> None:
        """Light or dark, as the system has it."""
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def picture(self, selector: str | None = None) -> bytes:
        """The page, or an element, as a PNG."""
        options = {}
        if selector is not None:
            box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
            options = {
                "clip": self.evaluate(f"(({{x, y, width, height}}) => ({{x, y, width, height, scale: 1}}))({box})")
            }
        return base64.b64decode(self.call("Page.captureScreenshot", **options)["data"])

    def downloaded(self, name: str) -> Path:
        """Waits for a file that the page has the browser save."""
        path = self.browser.downloads / name
        self.until(path.exists)
        return path

    def close(self) -> None:
        """Closes the tab."""
        self.browser.call("Target.closeTarget", targetId=self.target)
