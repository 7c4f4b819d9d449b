"""Log lines: a constant event name plus fields, as JSON, or as text on a terminal.

Every line passes a redaction at this boundary, so that a secret that reaches a field is masked in
whatever form it comes; and a limit per event, so that a flood costs no disk (I13, I14).
"""

import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Final, TextIO

from adapter.engine import tracing
from adapter.model.redaction import MASK, redact
from adapter.model.texts import visible, visible_json, visible_line
from adapter.server.rate_limit import RateLimit
from adapter.service.settings import LogFormat, LogSettings

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SECRET_NAMES: Final = re.compile(
    r"pass(word|wd|phrase)|secret|authorization|api[-_]?key|bearer|credential|nonce|^key$",
    re.IGNORECASE,
)


def _clean(name: str, value: object) -> object:
    if _SECRET_NAMES.search(name):
        return MASK
    match value:
        case bool() | int() | float() | None:
            return value
        case Mapping():
            return {str(key): _clean(str(key), each) for key, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean("", each) for each in value]
        case bytes():
            return redact(value.decode("utf-8", "replace"))
    return redact(str(value))


_WHOSE: Final = ("command", "communication", "order", "trace")
"""By what all lines of one thing are found; they come first."""
_COMMUNICATION: Final = re.compile(r"([0-9a-z]{26})-\d+")


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    given = vars(record)
    whose = {name: given[name] for name in _WHOSE if given.get(name)}
    if "command" not in whose and (
        found := _COMMUNICATION.fullmatch(str(whose.get("communication", "")))
    ):
        whose = {"command": found[1], **whose}
    others = ((name, value) for name, value in given.items() if name not in _WHOSE)
    for name, value in (*whose.items(), *others):
        if name not in _STANDARD:
            yield name, _clean(name, value)
    if trace := tracing.current():
        yield "trace", trace.split("-")[1]


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, event, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, object] = {
            "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": redact(record.getMessage()),
        }
        for name, value in _fields(record):
            line[name if name not in line else f"field_{name}"] = value
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return visible_json(json.dumps(line, ensure_ascii=False, default=str))


class TextLines(logging.Formatter):
    """For people at a terminal: time of day, level, event, fields."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).astimezone()
        parts = [f"{at:%H:%M:%S}", f"{record.levelname.lower():<7}", redact(record.getMessage())]
        parts += [f"{name}={_short(value)}" for name, value in _fields(record)]
        line = visible_line("  ".join(parts))
        if record.exc_info:
            line += "\n" + visible(redact(self.formatException(record.exc_info)))
        return line


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f'"{text}"' if " " in text else text


class LimitLines(logging.Filter):
    """Lets `per_minute` lines of one event through a minute.

    The first line of a later minute carries `suppressed`, the number that were held back.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._limit = RateLimit(per_minute)
        self._now = now

    def filter(self, record: logging.LogRecord) -> bool:
        held = self._limit.take(f"{record.name} {record.msg}", self._now())
        if held:
            record.suppressed = held
        return held is not None


def start_logging(
    settings: LogSettings | None = None,
    *,
    stream: TextIO | None = None,
    now: Callable[[], float] = time.monotonic,
) -> logging.Handler:
    """Send all log lines of the process to `stream` (standard error) from now on.

    Gives the handler, which takes the place of one that was started before.
    """
    settings = settings or LogSettings()
    stream = stream or sys.stderr
    text = settings.format is LogFormat.TEXT or (
        settings.format is LogFormat.AUTO and stream.isatty()
    )
    handler = logging.StreamHandler(stream)
    handler.set_name("openway")
    handler.setFormatter(TextLines() if text else JsonLines())
    handler.addFilter(LimitLines(settings.per_minute, now))
    root = logging.getLogger()
    for before in [each for each in root.handlers if each.get_name() == "openway"]:
        root.removeHandler(before)
    root.addHandler(handler)
    root.setLevel(settings.level.value.upper())
    logging.captureWarnings(True)
    # Their lines at debug and info carry whole messages, or one line for each request.
    for loud in ("asyncio", "zeep", "aiohttp.access", "urllib3"):
        logging.getLogger(loud).setLevel(logging.WARNING)
    return handler
