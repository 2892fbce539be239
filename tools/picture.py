"""Take the pictures of the documentation: the demo's page, as Chromium shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import sync_playwright

from tools import chromium

PICTURES = Path(__file__).parent.parent / "docs/images"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main() -> None:
    """Make the demo, serve it, and take its picture in light and dark."""
    with TemporaryDirectory() as folder:
        company = Path(folder, "pagesnap")
        tallyline = [sys.executable, "-m", "tallyline"]
        subprocess.run([*tallyline, "demo", str(company), "--no-up"], check=True)
        up = [*tallyline, "up", "--project", str(company), "--port", "0"]
        with subprocess.Popen(up, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None  # noqa: S101  # a pipe was asked for
            url = next(word for word in server.stdout.readline().split() if word.startswith("http"))
            for scheme in ("light", "dark"):
                take(f"{url}dashboards/acquisition?last=90d", scheme)
            server.terminate()


def take(url: str, scheme: str) -> None:
    """Write `docs/images/page-<scheme>.png`."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.find(), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1180, "height": 860}, color_scheme=scheme)  # type: ignore[arg-type]
        page.goto(url)
        page.wait_for_load_state("networkidle")
        page.locator("canvas").first.wait_for()
        page.screenshot(path=PICTURES / f"page-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main()
