"""Take the pictures of the documentation: the demo's page, as Chromium shows it."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from playwright.sync_api import sync_playwright

from tools import chromium

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser

PICTURES = Path(__file__).parent.parent / "docs/images"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
SHOWN = (
    ("page-light", "acquisition?last=90d", "light", 850),
    ("page-dark", "acquisition?last=90d", "dark", 850),
    ("page-pipeline", "pipeline?last=7d", "light", 1400),
)


def main() -> None:
    """Make the demo, serve it, and take its pictures."""
    with TemporaryDirectory() as folder:
        company = Path(folder, "pagesnap")
        subprocess.run([sys.executable, "-m", "tallyline", "demo", str(company), "--no-up"], check=True)
        with served(company) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium.find(), args=ARGUMENTS)
            for name, address, scheme, height in SHOWN:
                take(browser, f"{url}dashboards/{address}", scheme, height, PICTURES / f"{name}.png")
            browser.close()


@contextmanager
def served(company: Path) -> Iterator[str]:
    """Serve the page of a project, and yield its address."""
    up = [sys.executable, "-m", "tallyline", "up", "--project", str(company), "--port", "0"]
    with subprocess.Popen(up, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101  # a pipe was asked for
        try:
            words = (word for line in server.stdout for word in line.split())
            yield next(word for word in words if word.startswith("http"))
        finally:
            server.terminate()


def take(browser: Browser, url: str, scheme: str, height: int, picture: Path) -> None:
    """Write what the browser shows at an address."""
    page = browser.new_page(viewport={"width": 1180, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page.goto(url)
    page.locator("main[aria-busy=false]").wait_for()
    page.screenshot(path=picture)
    page.close()


if __name__ == "__main__":
    main()
