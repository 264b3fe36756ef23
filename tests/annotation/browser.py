"""A headless Chromium for tests, through Playwright: what a page does that it should not is written down.

One Playwright may run in a thread at a time, so a fixture that keeps a browser open has module scope at most:

    @pytest.fixture(scope="module")
    def browser():
        with chromium() as browser:
            yield browser

    def test_it(browser):
        with chromium_page(browser) as (page, log):
            page.goto(url)
            assert not log.errors
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@dataclass
class PageLog:
    """What happened on a page beside what the test did.

    Attributes:
        errors: Console errors (refusals by the content security policy among them) and uncaught exceptions.
        dialogs: Texts of `alert`, `confirm` and `prompt`; each was dismissed.
        requests: Addresses asked for, without those of `data:` and `blob:`; a `file:` page is its own first. What a
            policy then blocks is among them.
    """

    errors: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        """Write down what happens on a Playwright page from now on."""

        def dismiss(dialog: Any) -> None:
            self.dialogs.append(dialog.message)
            dialog.dismiss()

        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("dialog", dismiss)
        page.on("request", lambda asked: self._ask(asked.url))

    def _ask(self, url: str) -> None:
        if not url.startswith(("data:", "blob:")):
            self.requests.append(url)


def sign_in(page: Any, url: str, email: str, password: str) -> None:
    """Log in to a Label Studio by its form."""
    page.goto(f"{url}/user/login/")
    page.fill("input[name=email]", email)
    page.fill("input[name=password]", password)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "login" not in address)


@contextmanager
def chromium() -> Iterator[Any]:
    """A running Chromium (a Playwright `Browser`); the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if executable is None:
        pytest.skip("no chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def chromium_page(
    browser: Any = None,
    *,
    width: int = 1280,
    height: int = 900,
    color_scheme: Literal["light", "dark"] = "light",
    timeout_s: float = 15,
    **options: Any,
) -> Iterator[tuple[Any, PageLog]]:
    """A fresh page in its own session (no cookies of others), and the log of what happens on it.

    Args:
        browser: A running one from `chromium()`; by default one is started for this page alone.
        width: Of the viewport, in CSS pixels.
        height: Of the viewport, in CSS pixels.
        color_scheme: What `prefers-color-scheme` says.
        timeout_s: How long an action may wait.
        options: For Playwright's `Browser.new_context`.
    """
    if browser is None:
        with (
            chromium() as own,
            chromium_page(
                own, width=width, height=height, color_scheme=color_scheme, timeout_s=timeout_s, **options
            ) as found,
        ):
            yield found
        return
    size = {"width": width, "height": height}
    context = browser.new_context(viewport=size, color_scheme=color_scheme, reduced_motion="reduce", **options)
    try:
        context.set_default_timeout(timeout_s * 1000)
        page = context.new_page()
        log = PageLog()
        log.watch(page)
        yield page, log
    finally:
        context.close()
