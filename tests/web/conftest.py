"""A ledger made by a real demo run, the dashboard as a process on it, and a real browser.

The browser is the system's Chromium: without one these tests fail, and say how to install it, for a test that is
skipped on every machine proves nothing.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from dashboards import Book, Dashboard, command, copied, environment, served
from playwright.sync_api import Browser, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """What a demo of a few hours leaves."""
    folder = tmp_path_factory.mktemp("demo")
    run = subprocess.run(
        command("demo", "--hours", "3", "--seed", "5", "--out", folder, "--json"),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return Book(folder / "vaultkeel.toml")


@pytest.fixture(autouse=True)
def logs_of_its_own() -> Iterator[None]:
    """A test that sets up the logs writes to a standard error that ends with it."""
    yield
    structlog.reset_defaults()


@pytest.fixture
def book(demo: Book, tmp_path: Path) -> Book:
    """A copy of the demo's, to be changed."""
    return copied(demo, tmp_path)


@pytest.fixture(scope="session")
def shared(demo: Book, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dashboard]:
    """A dashboard that no test changes the ledger of."""
    with served(copied(demo, tmp_path_factory.mktemp("shared")), by_command=True) as dashboard:
        yield dashboard


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        pytest.fail("these tests need Chromium in PATH: on Debian `apt-get install -y chromium`")
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-background-networking"]
        started = playwright.chromium.launch(executable_path=path, args=arguments)
        yield started
        started.close()
