"""How every process of kaos writes what it does: one JSON object a line, or colours where a person looks on."""

import logging
import sys
from typing import Final

import structlog

from shared.settings import Settings

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(settings: Settings) -> None:
    """Sets up structlog, and passes on the warnings of libraries that use the standard library's logging."""
    terminal = sys.stdout.isatty()
    rendering: tuple[structlog.typing.Processor, ...] = (
        (structlog.dev.ConsoleRenderer(),)
        if terminal
        else (structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr))
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.log_level]),
        logger_factory=structlog.PrintLoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(handlers=[_Forward(logging.WARNING)], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Hands a record of the standard library's logging to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes the record as an event named after its logger."""
        structlog.get_logger().log(
            record.levelno, record.name, message=record.getMessage(), exc_info=record.exc_info or None
        )
