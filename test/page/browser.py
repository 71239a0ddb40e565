# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""Debian's Chromium without a window, driven by Debian's Selenium."""
import os

from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

DRIVER = "/usr/bin/chromedriver"


def open_browser(netns=None, width=1280, height=900, flags=()):
    """netns: the network namespace in which it runs, or None."""
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    # No sandbox: it refuses to be root's, and what is visited is our own.
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
                 "--disable-background-networking", "--disable-component-update", "--disable-sync",
                 "--hide-scrollbars", f"--window-size={width},{height}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(service=Service(DRIVER, env=os.environ), options=options)


def resize(browser, width, height, scale=1):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600})


def set_scheme(browser, scheme, motion="no-preference"):
    """As if the system were set to "light" or "dark"."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
        {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": motion}]})
