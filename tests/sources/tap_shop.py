"""A tap as the specification of Singer has it, in few lines, that does wrong what its configuration says."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import DEVNULL
from typing import Any

NEVER = 3600


def main() -> None:
    """Run the tap."""
    asked = argparse.ArgumentParser()
    for option in ("config", "catalog", "properties", "state"):
        asked.add_argument(f"--{option}", type=Path)
    asked.add_argument("--discover", action="store_true")
    options = asked.parse_args()
    config = json.loads(options.config.read_text("utf-8"))
    catalog = options.catalog or options.properties
    if "seen" in config:
        note(config, options, catalog)
    if options.discover:
        if config.get("wrong") == "no discovery":
            sys.exit("unrecognized arguments: --discover")
        write(config.get("told_catalog") or json.dumps({"streams": [stream("orders"), stream("customers")]}, indent=1))
        return
    if "child" in config:
        child = subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({NEVER})"], stdout=DEVNULL)
        Path(config["child"]).write_text(str(child.pid), "utf-8")
    sync(config, json.loads(options.state.read_text("utf-8")) if options.state else {})


def sync(config: dict[str, Any], state: dict[str, Any]) -> None:
    """Write the orders that are not older than the bookmark, as inclusively as taps do."""
    since = state.get("bookmarks", {}).get("orders", {}).get("created_at") or config.get("start_date", "")
    say({"type": "SCHEMA", "stream": "customers", "schema": {"properties": {}}, "key_properties": []})
    if config.get("wrong") != "no schema":
        fields: dict[str, Any] = {each: {} for each in config.get("fields", ["id", "created_at", "country", "total"])}
        say({"type": "SCHEMA", "stream": "orders", "schema": {"properties": fields}, "key_properties": ["id"]})
    say({"type": "RECORD", "stream": "customers", "record": {"id": 1}})
    for number, order in enumerate(config["orders"]):
        if number == config.get("after", 0):
            do_wrong(config)
        if order.get("created_at", since) >= since:
            say({"type": "RECORD", "stream": "orders", "record": order, "version": 1})
    if len(config["orders"]) <= config.get("after", 0):
        do_wrong(config)
    say({"type": "STATE", "value": {"bookmarks": {}}})
    say({"type": "ACTIVATE_VERSION", "stream": "orders", "version": 1})


def do_wrong(config: dict[str, Any]) -> None:
    """Do what the configuration says is to go wrong."""
    sys.stdout.flush()
    if "words" in config:
        sys.exit(config["words"])
    match config.get("wrong"):
        case "silent":
            signal.pause()
        case "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.pause()
        case "garbage":
            write("Traceback: this is no message")
        case "long":
            write("x" * 100_000)
        case "batch":
            say({"type": "BATCH", "stream": "orders", "manifest": ["file:///orders.jsonl.gz"]})
        case "half":
            os.write(1, b'{"type": "RECORD", "stream": "ord')
            os._exit(config.get("status", 1))
        case "closed":
            os.close(1)
            signal.pause()
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)


def stream(name: str) -> dict[str, Any]:
    """Return what a catalog says of a stream."""
    fields = ["id", "created_at", "country", "total", "note"]
    of_fields = [
        {"breadcrumb": ["properties", each], "metadata": {"inclusion": "automatic" if each == "id" else "available"}}
        for each in fields
    ]
    return {
        "tap_stream_id": f"shop-{name}",
        "stream": name,
        "key_properties": ["id"],
        "schema": {"type": "object", "properties": {each: {"type": ["null", "string"]} for each in fields}},
        "metadata": [
            {"breadcrumb": [], "metadata": {"valid-replication-keys": ["created_at"], "selected": True}},
            *of_fields,
        ],
    }


def note(config: dict[str, Any], options: argparse.Namespace, catalog: Path | None) -> None:
    """Keep what the tap was given, for the test to look at."""
    files = {name: file for name, file in {**vars(options), "catalog": catalog}.items() if isinstance(file, Path)}
    told = {
        "arguments": sys.argv[1:],
        "folder": str(Path.cwd()),
        "private": str(options.config.parent),
        "environment": sorted(os.environ),
        "modes": {name: oct(file.stat().st_mode & 0o777) for name, file in files.items()}
        | {"folder": oct(options.config.parent.stat().st_mode & 0o777)},
        **{name: json.loads(file.read_text("utf-8")) for name, file in files.items()},
    }
    Path(config["seen"]).write_text(json.dumps(told), "utf-8")


def say(message: dict[str, Any]) -> None:
    """Write a message."""
    write(json.dumps(message))


def write(line: str) -> None:
    """Write a line."""
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    main()
