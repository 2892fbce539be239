"""What the tests of the engine ask about threads."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE = 20.0


@contextmanager
def none_left_behind() -> Iterator[None]:
    """Check that there are the same threads afterwards."""
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not left, f"these threads outlived the run: {left}"


def met(event: threading.Event) -> None:
    """Wait for an event that is bound to come."""
    assert event.wait(PATIENCE), "what the test waits for did not happen"
