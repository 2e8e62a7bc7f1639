"""What the package says, on the standard error."""

import logging
import sys


class _Stderr(logging.Handler):
    """Plain lines on the standard error as it is at that moment (a progress bar may guard it)."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        level = "" if record.levelno <= logging.INFO else f"{record.levelname}: "
        sys.stderr.write(f"{level}{self.format(record)}\n")


def log_to_stderr(level: int = logging.INFO) -> None:
    """Send what the package says, from a level on, to the standard error."""
    log = logging.getLogger("isonet2")
    log.setLevel(level)
    if not any(isinstance(handler, _Stderr) for handler in log.handlers):
        log.addHandler(_Stderr())
