"""What of documents may be given away. Nothing is kept because nobody thought of it: a text stays
where it is known to be harmless, and has a pseudonym everywhere else.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from importlib import import_module, resources
from typing import Final
from urllib.parse import urlsplit

from adapter.model.ids import is_sortable_id
from adapter.support.pseudonyms import Pseudonyms
from adapter.web.api.words import WORDS
from adapter.wire.tools.redacted import Unredactable, contract_words, redacted_message

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:?\d\d)?)?Z?"
)
_SMALL: Final = re.compile(r"[+-]?\d{1,3}(\.\d{1,3})?%?")
_GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_URL: Final = re.compile(r"https?://[^\s\"'<>,;]+")
_WORD: Final = re.compile(r"[^\s\"'`<>,;=(){}\[\]|]+")
_LOWER: Final = re.compile(r"[a-z]{1,24}")
_OF_ID: Final = re.compile(r"([0-9a-z]{26})((?:[-.]\d{1,4})?)(:[A-Za-z0-9.:\-]{1,60})?")
_LOOPBACK: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|::1|gateway\.example")
_IPV4: Final = re.compile(r"(?<![\w.])\d{1,3}(\.\d{1,3}){3}(?![\w.])")
_PHONE: Final = re.compile(r"(?<![\w.])\+?\d{2,4}([ -]\d{3,4}){2,}(?![\w.])")
_LEFT_OUT: Final = "left out"

PROGRAM_TEXTS: Final = frozenset(
    {
        "what", "why", "action", "text", "detail", "title", "problem", "error", "message",
        "warnings", "event", "type", "summary", "commands",
    }
)  # fmt: skip
"""Fields that the program writes: its own words stay, all else in them has pseudonyms."""

NUMERIC: Final = frozenset(
    {
        "accepted", "after", "age_s", "allowed_s", "attempt", "attempts", "blocks", "buffer_s",
        "bytes", "callbacks", "children", "closed", "commands_by_state",
        "communications_by_state", "completion_events", "condition", "count", "counts", "days",
        "deadline", "device_count", "device_event", "doubtful", "duration_s", "entered", "entries",
        "events", "excerpt_from", "expected", "failed", "in_doubt", "inbox_by_state", "incapable",
        "incomplete", "installs", "intervals", "issued", "lag_95_s", "lag_longest_s",
        "lag_median_s", "lag_s", "late", "late_messages", "left_out", "length_s", "line",
        "load_run", "longest_s", "mean_s", "missing", "never_reported", "no_value_for_a_day",
        "no_value_for_a_week", "not_asked", "not_due", "off_by_s", "open", "open_errors",
        "other_sequence", "p50_s", "p95_s", "people", "per_day", "per_hour", "position",
        "priority", "publications", "queued", "received", "refused", "removed", "repeated",
        "reported", "requested", "retries", "retry_at", "rows", "seconds", "sent", "seq",
        "sequence", "set_aside", "size", "skipped", "status", "still_open", "succeeded", "times",
        "total", "tries", "uncounted", "unknown", "unreadable", "used_this_hour", "used_today",
        "version", "waited_s", "waiting", "wake", "hold_until", "window_until", "windows_behind",
        "without_supply",
    }
)  # fmt: skip
"""Fields of the API, of the audit and of log lines whose numbers count or measure, and name nobody:
a number of any other field may be that of a meter."""

_SMALL_NUMBER: Final = 1_000
_MOST: Final = 1_000_000_000
_LARGE: Final = frozenset(
    {"bytes", "size", "wake", "deadline", "retry_at", "hold_until", "window_until"}
)
"""Times and sizes, which may be larger."""
_SECRETS: Final = frozenset({"password", "secret", "pin"})

_TECHNICAL: Final = frozenset({"quantity", "unit"})
_LETTERS: Final = re.compile(r"[A-Za-z]{1,8}( [A-Za-z()/]{1,8}){0,3}")
_BODIES: Final = frozenset({"body", "raw", "xml"})
_DROPPED: Final = frozenset({"raw_base64", "digest", "traceparent", "trace"})


class Redaction:
    """Two passes: what fields name in the first is found in every text of the second."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self.pseudonyms = pseudonyms
        self._whole: dict[str, str] = {}
        self._several: list[str] = []
        """Those of more than one word."""

    # ------------------------------------------------------------ documents

    def learn(self, value: Json, field: str = "") -> None:
        """Remember what stands in fields of their own: names and ids without a known shape."""
        if isinstance(value, dict):
            for name, each in value.items():
                self.learn(None if _safe_name(name) else name, "key")
                self.learn(each, name)
        elif isinstance(value, list):
            for each in value:
                self.learn(each, field)
        elif isinstance(value, str) and field not in PROGRAM_TEXTS | _BODIES | _DROPPED:
            text = value.strip()
            if len(text) > 1 and text not in self._whole and not harmless(text):
                self._whole[text] = self.name(text)
                if not _WORD.fullmatch(text):
                    self._several.append(text)

    def document(self, value: Json, field: str = "") -> Json:
        """A document as it may be given away."""
        if field.lower() in _SECRETS and value is not None:
            return "***"
        if isinstance(value, dict):
            return {
                self._field(name): self.document(each, name)
                for name, each in value.items()
                if name not in _DROPPED
            }
        if isinstance(value, list):
            return [self.document(each, field) for each in value]
        if isinstance(value, str):
            return self._text(value, field)
        return value if isinstance(value, bool | None) else self._number(value, field)

    def _number(self, value: float, field: str) -> Json:
        """It stays where it is small, or the field is one that counts or measures."""
        small = abs(value) < _SMALL_NUMBER and (isinstance(value, int) or _short(value))
        if small or (field in NUMERIC and (abs(value) < _MOST or field in _LARGE)):
            return value
        if isinstance(value, int):
            return int(self.pseudonyms.of(str(abs(value))))
        return self.name(repr(value))

    def _field(self, name: str) -> str:
        if name in field_names():
            return name
        return self._whole.get(name) or (name if _safe_name(name) else self.name(name))

    def _text(self, value: str, field: str) -> str:
        if field in _TECHNICAL and _LETTERS.fullmatch(value):
            words = re.findall(r"[a-z]+", value.lower())
            return value if program_words().issuperset(words) else self.name(value)
        if field.lower() == "token" and harmless(value):
            return self.pseudonyms.of(value) if value else value
        if field in _BODIES:
            return self.message(value.encode("utf-8", "surrogatepass")).decode()
        if field in PROGRAM_TEXTS:
            return self.program_text(value)
        return self.name(value)

    # ------------------------------------------------------------ texts

    def name(self, value: str) -> str:
        """Of a field that may hold a name, an id or what somebody wrote: all of it, or nothing."""
        text = value.strip()
        if not text or harmless(text):
            return value
        if _URL.fullmatch(text):
            return self.url(text)
        if (found := _OF_ID.fullmatch(text)) and is_sortable_id(found[1]):
            rest = found[3] or ""
            shown = rest if harmless(rest[1:]) or not rest else f":{self.pseudonyms.of(rest[1:])}"
            return f"{self.pseudonyms.of(found[1])}{found[2]}{shown}"
        return self._address(text) if _IPV4.fullmatch(text) else self.pseudonyms.of(text)

    def _address(self, value: str) -> str:
        """All of it: one of dotted numbers would keep the first three."""
        return value if _LOOPBACK.fullmatch(value) else self.pseudonyms.of(f"address {value}")

    def program_text(self, value: str) -> str:
        """Of a sentence that the program makes: its own words stay."""
        if harmless(value):
            return value
        value = _PHONE.sub(lambda found: self.pseudonyms.of(found[0]), value)
        value = _IPV4.sub(lambda found: self._address(found[0]), value)
        # Most of what fields had is one word, which is looked up; of the others few are in a text.
        there = [known for known in self._several if known in value]
        if not there:
            return _WORD.sub(lambda found: self._word(found[0]), value)
        words = "|".join(map(re.escape, sorted(there, key=len, reverse=True)))
        parts = re.split(rf"(?<![\w.])({words})(?!\w)", value)
        return "".join(
            self._whole[part] if number % 2 else _WORD.sub(lambda found: self._word(found[0]), part)
            for number, part in enumerate(parts)
        )

    def _word(self, word: str) -> str:
        if _URL.match(word):
            return self.url(word)
        if word in self._whole:
            return self._whole[word]
        core = word.strip(".:!?")
        if core in self._whole:
            return word.replace(core, self._whole[core])
        if not core or harmless(core):
            return word
        if _LOWER.fullmatch(core.lower()) and core.lower() in program_words():
            return word
        return word.replace(core, self.name(core))

    def url(self, value: str) -> str:
        try:
            parts = urlsplit(value)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            return self.pseudonyms.of(value)
        shown = host if _LOOPBACK.fullmatch(host) else f"{self.pseudonyms.of(host)}.example"
        steps = [each if not each or each == "***" else self.name(each) for each in
                 parts.path.split("/")]  # fmt: skip
        rest = f"?{self.pseudonyms.of(parts.query)}" if parts.query else ""
        return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{'/'.join(steps)}{rest}"

    def message(self, raw: bytes) -> bytes:
        """A SOAP message; of what is no XML the size alone."""
        if not raw.strip():
            return b""
        try:
            return redacted_message(raw, self._of_element)
        except Unredactable:
            return f"{_LEFT_OUT}: {len(raw)} bytes that are no XML".encode()

    def _of_element(self, text: str) -> str:
        """Where a sentence of the program says it again it has the same pseudonym."""
        made = self.name(text)
        if not _WORD.fullmatch(text) and text not in self._whole and not harmless(text):
            self._whole[text] = made
            self._several.append(text)
        return made

    def line(self, line: str) -> str:
        """A line of the log: JSON, or text."""
        try:
            value = json.loads(line)
            return json.dumps(self.document(value, "text"), ensure_ascii=False)
        except RecursionError:
            return f"{_LEFT_OUT}: a line of {len(line)} signs that is nested too deep"
        except ValueError:
            return self.program_text(line)

    def metrics(self, text: str) -> str:
        """Of the exposition format: values of labels that are not known have pseudonyms."""
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return "".join(f"{_LABEL.sub(self._label, line)}\n" for line in lines)

    def _label(self, found: re.Match[str]) -> str:
        return f'{found[1]}="{self.name(found[2])}"'


_LABEL: Final = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')


def _short(value: float) -> bool:
    """Not as exact as a coordinate."""
    return value == round(value, 3)


def harmless(text: str) -> bool:
    """Whether it names nobody: a time, a small number, a word of the program or of the contract."""
    if _TIME.fullmatch(text) or _SMALL.fullmatch(text) or text in ("***", "-", ""):
        return True
    return text in known_words() or text in contract_words()


def _safe_name(name: str) -> bool:
    """A name of a field: one that the program has."""
    return harmless(name) or all(part in program_words() for part in name.split("_"))


@cache
def field_names() -> frozenset[str]:
    """Of everything that the API gives."""
    return frozenset(name.rpartition(".")[2] for name in WORDS)


@cache
def known_words() -> frozenset[str]:
    """Members of the program's enumerations, names of its classes of events and its paths."""
    found = {"openway", "gateway", "head-end", "api", "v1", "status", "data", "events"}
    for name in _MODULES:
        for each in vars(import_module(name)).values():
            if isinstance(each, type) and issubclass(each, StrEnum):
                found |= {member.value for member in each}
            if isinstance(each, type):
                found.add(each.__name__)
    return frozenset(found - {""})


@cache
def program_words() -> frozenset[str]:
    """All words that the program's own sources have."""
    text: list[str] = []
    waiting = [resources.files("adapter")]
    while waiting:
        for item in waiting.pop().iterdir():
            if item.is_dir():
                waiting.append(item)
            elif item.name.endswith(".py"):
                text.append(item.read_text(encoding="utf-8"))
    return frozenset(re.findall(r"[a-z]+", "\n".join(text).lower()))


_MODULES: Final = (
    "adapter.commands.activity",
    "adapter.commands.calls",
    "adapter.commands.events",
    "adapter.commands.flows",
    "adapter.commands.business_objects",
    "adapter.engine.commands.ports",
    "adapter.engine.commands.switch_holds",
    "adapter.engine.upkeep.durations",
    "adapter.engine.upkeep.retention",
    "adapter.engine.upkeep.set_aside",
    "adapter.engine.upkeep.signals",
    "adapter.headend.settings",
    "adapter.model.device",
    "adapter.model.todo",
    "adapter.orders.algorithms.table",
    "adapter.orders.events",
    "adapter.orders.field_activity",
    "adapter.orders.order",
    "adapter.orders.replies",
    "adapter.server.settings",
    "adapter.subscriptions.reconcile",
)
"""Whose enumerations are words of the program."""


def plain(value: Mapping[str, object]) -> Json:
    """As JSON has it."""
    made: Json = json.loads(json.dumps(value, default=str))
    return made
