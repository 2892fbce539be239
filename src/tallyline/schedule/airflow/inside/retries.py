"""When a task is tried again: no sooner than the service that was asked wants to be asked again."""

from __future__ import annotations

from typing import Any

from airflow import sdk

__all__ = ["retry_policy"]


def retry_policy() -> dict[str, Any]:
    """Return the argument of a task that says so; none before Airflow 3.3, which has no such thing."""
    return {"retry_policy": _AsAsked()} if hasattr(sdk, "RetryPolicy") else {}


class _AsAsked(getattr(sdk, "RetryPolicy", object)):  # type: ignore[misc]
    """Waits as long as the service asks for, and else as long as the task says."""

    def evaluate(self, exception: BaseException, try_number: int, max_tries: int, context: Any = None) -> Any:  # noqa: ANN401
        """Return what Airflow is to do."""
        del try_number, max_tries, context
        wait = getattr(exception, "wait", None)
        if wait is None:
            return sdk.RetryDecision.default()
        return sdk.RetryDecision.retry(wait, "the service asks to be left alone until then")
