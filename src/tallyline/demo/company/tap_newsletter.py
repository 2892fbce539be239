"""A tap of Singer: who subscribed to Pagesnap's newsletters, from the file that its mailer exports.

It needs nothing but Python, and knows nothing of Tallyline: any tap is run like this one.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

FIELDS = ("id", "subscribed_at", "newsletter")
STREAM = {
    "stream": "subscribers",
    "tap_stream_id": "subscribers",
    "replication_key": "subscribed_at",
    "key_properties": ["id"],
    "schema": {"type": "object", "properties": {name: {"type": "string"} for name in FIELDS}},
}


def main() -> None:
    """Write the catalog, or the subscribers since the bookmark."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--discover", action="store_true")
    for option in ("--config", "--catalog", "--state"):
        parser.add_argument(option, type=Path)
    options = parser.parse_args()
    if options.discover:
        json.dump({"streams": [STREAM]}, sys.stdout)
        return
    config = json.loads(options.config.read_text("utf-8"))
    state = json.loads(options.state.read_text("utf-8")) if options.state else {}
    since = state.get("bookmarks", {}).get("subscribers", {}).get("subscribed_at", "")
    say(type="SCHEMA", stream="subscribers", schema=STREAM["schema"], key_properties=["id"])
    with Path(config["file"]).open(encoding="utf-8", newline="") as file:
        for record in csv.DictReader(file):
            if record["subscribed_at"] >= since:
                say(type="RECORD", stream="subscribers", record=record)
    say(type="STATE", value=state)


def say(**message: object) -> None:
    """Write a message."""
    sys.stdout.write(json.dumps(message) + "\n")


if __name__ == "__main__":
    main()
