"""Chromium, and services to open it on."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect, sync_playwright
from safetensors.numpy import save_file

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WAIT = 60_000
"""Milliseconds: continuous integration may be busy."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("the page is tried in Chromium, which is not here: apt-get install chromium")
    expect.set_options(timeout=WAIT)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@contextlib.contextmanager
def serving(module: str, *arguments: str, folder: Path, **environment: str) -> Iterator[str]:
    """A service of its own process; its address. `{port}` among the arguments stands for one that is free."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", module, *(each.format(port=port) for each in arguments)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "NO_COLOR": "1", **environment})
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                with contextlib.suppress(urllib.error.URLError, ConnectionError):
                    urllib.request.urlopen(f"{url}/api/v1/health", timeout=5).close()
                    break
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.1)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


@pytest.fixture(scope="session")
def fake(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service whose worker paints one colour."""
    folder = tmp_path_factory.mktemp("fake")
    weights = {f"lora_unet_mid.lora_{part}.weight": np.ones((4, 4), np.float32) for part in ("down", "up")}
    (folder / "loras").mkdir()
    save_file(weights, folder / "loras" / "ink.safetensors", metadata={"modelspec.trigger_phrase": "inkwash"})
    service = ("tests.service.fake_service", str(folder / "data"), "{port}")
    with serving(*service, folder=folder, SFUMATO_LORAS=str(folder / "loras")) as url:
        yield url


Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Any) -> Iterator[Opened]:
    """Opens a page; a failure of a script, and a request to another address, fail the test."""
    contexts, faults = [], []

    def open_(url: str, *, width: int = 1440, height: int = 900, theme: str = "light", language: str = "en-GB") -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=theme,
            locale=language,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT)
        home = "/".join(url.split("/")[:3])
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        page.on(
            "request",
            lambda asked: (
                None if asked.url.startswith((f"{home}/", "data:", "blob:")) else faults.append(f"asked {asked.url}")
            ),
        )
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert faults == []
