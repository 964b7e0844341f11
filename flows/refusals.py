"""An error of the house in Prefect's logs: its message, without the call stack that Prefect would print under it."""

from __future__ import annotations

import logging

from contracts.errors import StillroomError

LOGGERS = ("prefect.flow_runs", "prefect.task_runs", "prefect.engine")
"""Where Prefect tells of an exception: at the task, at the flow, and where the flow's process ends."""


class WithoutStack(logging.Filter):
    """Lets every record pass; of a StillroomError only its first line is kept, since the run's state has the hint.

    Any other exception keeps its stack.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by the logger with each record."""
        told = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if isinstance(told, StillroomError):
            record.msg, record.args = told.line, ()
            record.exc_info = record.exc_text = None
        return True


def tell_without_stack() -> None:
    """Put the filter on Prefect's loggers; safe to call again."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(one, WithoutStack) for one in logger.filters):
            logger.addFilter(WithoutStack())
