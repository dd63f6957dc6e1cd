"""A real browser, headless, spoken to over its DevTools protocol: no driver to install or download.

`Browser` is a process; `Tab` is a page in it that remembers every console message, exception and request. A machine
without Chromium fails the tests that need it, with a sentence that says what to install.
"""

from __future__ import annotations

import base64
import itertools
import json
import shutil
import subprocess
import time
from collections import deque
from contextlib import ExitStack, contextmanager
from pathlib import Path

from websockets.sync.client import connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--mute-audio",
    "--remote-debugging-port=0",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
)
START_S = 60
WAIT_S = 60


def find_chromium() -> str:
    """The browser's path; AssertionError when there is none."""
    found = [path for name in NAMES if (path := shutil.which(name))]
    assert found, "the browser tests need Chromium (Debian: apt-get install chromium); none of its names is on PATH"
    return found[0]


class Navigated(AssertionError):
    """The page went away while it was asked something."""


class Tab:
    """A page. Waits are generous; a wait that fails shows the page's own complaints."""

    def __init__(self, url: str) -> None:
        self._open = ExitStack()
        self._socket = self._open.enter_context(connect(url, max_size=None, compression=None))
        self._numbers = itertools.count(1)
        self._events: deque[dict] = deque()
        self.console: list[str] = []
        self.requests: list[str] = []
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params) -> dict:
        """One command and its answer; what comes in between is noted."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            message = json.loads(self._socket.recv(timeout=WAIT_S))
            if message.get("id") == number:
                if "navigated" in message.get("error", {}).get("message", ""):
                    raise Navigated(f"{method}: {message['error']}")
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._note(message)

    def _note(self, message: dict) -> None:
        kind, params = message.get("method"), message.get("params", {})
        if kind == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))
        elif kind == "Runtime.consoleAPICalled" and params["type"] in {"error", "warning", "assert"}:
            self.console.append(" ".join(str(it.get("value", it.get("description"))) for it in params["args"]))
        elif kind == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
            self.console.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif kind == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif kind == "Network.webSocketCreated":
            self.requests.append(params["url"])

    def run(self, script: str):
        """The value of an expression in the page (promises are awaited)."""
        result = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, timeout_s: float = WAIT_S):
        """The expression's value as soon as it is true."""
        end = time.monotonic() + timeout_s
        while not (value := self._soon(script)):
            assert time.monotonic() < end, f"never true: {script}\nconsole: {self.console}\n{self.text()[-1500:]}"
            time.sleep(0.05)
        return value

    def _soon(self, script: str):
        """The value, None while the page makes way for another one."""
        try:
            return self.run(script)
        except Navigated:
            return None

    def open(self, url: str) -> None:
        """Goes to a page and waits until its scripts have run."""
        self.call("Page.navigate", url=url)
        self.wait(f"document.readyState === 'complete' && location.href.startsWith({json.dumps(url.split('#')[0])})")

    def text(self) -> str:
        """What a reader sees."""
        return self.run("document.body.innerText") or ""

    def click(self, selector: str) -> None:
        """A real click in the middle of the element."""
        box = self.wait(
            f"""(() => {{ const it = document.querySelector({json.dumps(selector)}); if (!it) return null;
            it.scrollIntoView({{block: "nearest"}}); const b = it.getBoundingClientRect();
            return b.width ? [b.x + b.width / 2, b.y + b.height / 2] : null; }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Types into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int = 0) -> None:
        """One key: "Enter", "Escape", "n", ..."""
        code = code or {"Enter": 13, "Escape": 27, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37}.get(key, ord(key[0]))
        extra = {"text": "\r"} if key == "Enter" else ({"text": key} if len(key) == 1 else {})
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **extra)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    def choose_file(self, selector: str, path: Path) -> None:
        """Gives a file to an input."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path)])

    def screen(self, width: int, height: int, *, phone: bool = False, dark: bool = False) -> None:
        """Size and colours of the screen."""
        scale = 2 if phone else 1
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=phone
        )
        self.call(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    def screenshot(self, path: Path) -> None:
        """What is on the screen, as a PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def close(self) -> None:
        self._open.close()


class Browser:
    """A running Chromium. `port` is that of its DevTools."""

    def __init__(self, profile: Path, port: int, path: str) -> None:
        self.profile = profile
        self._base = f"ws://127.0.0.1:{port}"
        self._open = ExitStack()
        self._control = self._open.enter_context(connect(self._base + path, max_size=None, compression=None))
        self._numbers = itertools.count(1)
        self._tabs: list[Tab] = []

    def tab(self) -> Tab:
        """A new page."""
        number = next(self._numbers)
        create = {"id": number, "method": "Target.createTarget", "params": {"url": "about:blank"}}
        self._control.send(json.dumps(create))
        while (answer := json.loads(self._control.recv(timeout=WAIT_S))).get("id") != number:
            pass
        tab = Tab(f"{self._base}/devtools/page/{answer['result']['targetId']}")
        self._tabs.append(tab)
        return tab

    def close(self) -> None:
        for tab in self._tabs:
            tab.close()
        self._open.close()


@contextmanager
def chromium(profile: Path, microphone: Path | None = None):
    """A browser with a WAV as its microphone (played in a loop), or with Chromium's beeps."""
    flags = [*FLAGS, f"--user-data-dir={profile}"]
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}")
    with (profile.parent / "chromium.log").open("wb") as log:
        process = subprocess.Popen([find_chromium(), *flags, "about:blank"], stdout=log, stderr=log)
    browser = None
    try:
        address = profile / "DevToolsActivePort"
        end = time.monotonic() + START_S
        while not (address.exists() and len(lines := address.read_text().splitlines()) == 2):
            assert process.poll() is None, (profile.parent / "chromium.log").read_text(errors="replace")[-2000:]
            assert time.monotonic() < end, "Chromium did not start"
            time.sleep(0.05)
        browser = Browser(profile, int(lines[0]), lines[1])
        yield browser
    finally:
        if browser is not None:
            browser.close()
        process.terminate()
        process.wait(20)
