"""A headless browser and TensorBoard servers for the Pareto tab."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.dashboards.helpers import WAIT_S, resize


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Headless Chromium at 1280×720, as a projector has it."""
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("chromium and chromedriver are not installed (Debian: apt-get install chromium chromium-driver)")
    import tempfile

    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = binary
    with tempfile.TemporaryDirectory(prefix="pareto-profile-", ignore_cleanup_errors=True) as profile:
        for argument in (
            "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
            "--no-first-run", "--disable-sync", "--disable-component-update", "--force-color-profile=srgb",
            f"--user-data-dir={profile}",
        ):  # fmt: skip
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        chrome = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
        try:
            chrome.set_script_timeout(WAIT_S)
            resize(chrome, 1280, 720)
            chrome.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": profile})
            chrome.profile = profile
            yield chrome
        finally:
            chrome.quit()


@pytest.fixture(scope="session")
def tensorboard() -> Callable[[Path], str]:
    """Starts TensorBoard on a log directory and returns its address; it ends with the tests' process."""
    from drivereplay.dashboard.serve import start

    return lambda logdir: start(logdir, port=0)
