"""Find the browser that the browser tests drive; install Debian's where that is possible."""

from __future__ import annotations

import os
import shutil
import sys

from tools.debian import installed

NAMES = ("chromium", "chromium-browser", "google-chrome")

MISSING = """\
No Chromium: the tests marked `browser` need one.
    Debian        apt-get install chromium
    Ubuntu        snap install chromium
    macOS         brew install --cask chromium
    elsewhere     set CHROMIUM to the path of Chromium or Google Chrome"""


def find() -> str | None:
    """Return the path of the browser: the one that CHROMIUM names, or else the first on PATH."""
    named = os.environ.get("CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


def main() -> int:
    """Say which browser there is; in CI its absence is an error, elsewhere the tests are skipped."""
    if not find():
        installed("chromium")
    browser = find()
    print(f"browser tests use {browser}" if browser else MISSING)
    return int(browser is None and "CI" in os.environ)


if __name__ == "__main__":
    sys.exit(main())
