"""A Chromium without a window, driven over a pipe by the DevTools protocol."""

import base64
import json
import os
import subprocess
import time


class Chromium:
    """One page in a browser of its own; a context manager.

    Args:
        program: the browser.
        profile: a folder for what it keeps.
        size: width and height of the window, in CSS pixels; phones have a density of 2.
    """

    def __init__(self, program, profile, size=(1280, 900)):
        commands, self._commands = os.pipe()
        self._answers, answers = os.pipe()
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
        flags += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"]
        command = [program, *flags, f"--user-data-dir={profile}", "about:blank"]
        # The protocol's pipes are file descriptors 3 and 4.
        shell = f'exec 3<&{commands} 4>&{answers} && exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", shell, "bash", *command], pass_fds=(commands, answers), stderr=subprocess.DEVNULL
        )
        os.close(commands)
        os.close(answers)
        self._buffer, self._number, self._session, self.problems = b"", 0, None, []
        (page,) = [one for one in self._call("Target.getTargets")["targetInfos"] if one["type"] == "page"]
        attached = self._call("Target.attachToTarget", targetId=page["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log"):
            self._call(f"{part}.enable")
        self.resize(*size)

    def resize(self, width, height, density=1):
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=density,
            mobile=density > 1,
        )

    def open(self, address):
        self._call("Page.navigate", url=address)

    def evaluate(self, expression):
        """The value of a JavaScript expression; promises are waited for."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression, seconds=60.0):
        """The value of an expression, once it is true; elements count as true."""
        end = time.monotonic() + seconds
        plain = f"((value) => value instanceof Element || value)({expression})"
        while not (value := self.evaluate(plain)):
            assert time.monotonic() < end, (expression, self.evaluate("document.body.innerText"), self.problems)
            time.sleep(0.05)
        return value

    def picture(self, path):
        """A PNG of what the window shows."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot", format="png")["data"]))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.terminate()
        self._process.wait()
        os.close(self._commands)
        os.close(self._answers)

    def _call(self, method, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(answer["params"])

    def _read(self):
        while b"\0" not in self._buffer:
            part = os.read(self._answers, 65536)
            assert part, "the browser ended"
            self._buffer += part
        answer, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(answer)
