"""The simulator's own ledger of what reached it and what it did: the third witness in a dispute.

Entries are bounded, counters are complete. A file, when asked for, gets one JSON line per entry and
is flushed before the answer leaves, so that it can be read after the process was killed.
"""

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import IO, Final

from adapter.simulator.bodies import wire_time

_NAMED: Final = 20

Entry = dict[str, object]


@dataclass(slots=True)
class SimulatorJournal:
    """`most` entries are kept in memory. Times are the simulator's clock, in UTC."""

    most: int
    file: Path | None = None
    requests: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)
    by_meter: dict[str, Counter[str]] = field(default_factory=dict)
    acted_by_meter: dict[str, Counter[str]] = field(default_factory=dict)
    deliveries: Counter[str] = field(default_factory=Counter)
    undelivered: Counter[str] = field(default_factory=Counter)
    _entries: deque[Entry] = field(default_factory=deque)
    _sequence: int = 0
    _out: IO[str] | None = None

    def open(self) -> None:
        if self.file is not None:
            self._out = self.file.open("a", encoding="utf-8", buffering=1)

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None

    def clear(self) -> None:
        """Forget entries and counters; lines in the file stay, with a mark."""
        counters = (self.requests, self.acted, self.deliveries, self.undelivered)
        for table in (*counters, self.by_meter, self.acted_by_meter):
            table.clear()
        self._entries.clear()
        self._write({"kind": "reset"})

    def received(
        self,
        *,
        at: datetime,
        operation: str,
        endpoints: Sequence[str],
        body: bytes,
        effects: Iterable[str],
        address: str = "",
    ) -> Entry:
        """One request that was understood, before anything acts on it.

        `address` is where it wants its callbacks: it tells one attempt of a caller from another.
        """
        self.requests[operation] += 1
        _count(self.by_meter, operation, endpoints)
        entry: Entry = {
            "kind": "request",
            "at": at,
            "operation": operation,
            "endpoints": list(endpoints[:_NAMED]),
            "endpoint_count": len(endpoints),
            "bytes": len(body),
            "sha256": sha256(body).hexdigest(),
        }
        if address:
            entry["address"] = address
        if scripted := sorted(effects):
            entry["scripts"] = scripted
        return self._put(entry)

    def took(
        self, entry: Entry, *, operation: str, endpoints: Sequence[str], token: str | None
    ) -> None:
        """The request of `entry` was carried out, whatever becomes of its answer."""
        self.acted[operation] += 1
        _count(self.acted_by_meter, operation, endpoints)
        entry["acted"] = True
        if token is not None:
            entry["token"] = token
        if self._out is not None:
            self._write({"kind": "acted", "sequence": entry["sequence"], "token": token})

    def answered(self, entry: Entry, *, status: int | None, fault: str | None) -> None:
        """How the request of `entry` was answered. `status` None: the connection was closed."""
        said: Entry = {"status": status} if fault is None else {"status": status, "fault": fault}
        entry.update(said)
        if self._out is not None:
            self._write({"kind": "answered", "sequence": entry["sequence"], **said})

    def refused(self, *, at: datetime, reason: str, body: bytes, status: int) -> None:
        """A request that was not understood or not let in."""
        self.requests["(refused)"] += 1
        self._put(
            {
                "kind": "refused",
                "at": at,
                "reason": reason,
                "bytes": len(body),
                "sha256": sha256(body).hexdigest(),
                "status": status,
            }
        )

    def delivered(
        self,
        *,
        at: datetime,
        operation: str,
        address: str,
        token: str | None,
        state: str,
        endpoints: Sequence[str],
        status: int | None,
        error: str,
        body: bytes = b"",
    ) -> None:
        """One callback or data message was tried. `status` None: there was no answer."""
        good = status is not None and 200 <= status < 300
        (self.deliveries if good else self.undelivered)[operation] += 1
        entry: Entry = {
            "kind": "delivery",
            "at": at,
            "operation": operation,
            "address": address,
            "token": token,
            "status": status,
            "sha256": sha256(body).hexdigest(),
        }
        if state:
            entry["state"] = state
        if endpoints:
            entry["endpoints"] = list(endpoints[:_NAMED])
            entry["endpoint_count"] = len(endpoints)
        if error:
            entry["error"] = error
        self._put(entry)

    def entries(
        self,
        *,
        operation: str = "",
        esn: str = "",
        token: str = "",
        after: int = 0,
        most: int = 1000,
    ) -> list[Entry]:
        """The entries that fit, oldest first. `operation` with or without its service."""
        found = (
            entry
            for entry in self._entries
            if (not operation or _names(entry, operation))
            and (not esn or esn in _endpoints(entry))
            and (not token or entry.get("token") == token)
            and _sequence(entry) > after
        )
        return list(map(_shown, islice(found, most)))

    def count(self, operation: str, esn: str = "", *, acted: bool = False) -> int:
        """How many requests of an operation reached us, or reached one meter."""
        table = self.acted_by_meter if acted else self.by_meter
        if esn:
            return table.get(operation, Counter())[esn]
        return (self.acted if acted else self.requests)[operation]

    def counters(self) -> dict[str, Mapping[str, int]]:
        return {
            "requests": dict(self.requests),
            "acted": dict(self.acted),
            "deliveries": dict(self.deliveries),
            "undelivered": dict(self.undelivered),
        }

    def _put(self, entry: Entry) -> Entry:
        self._sequence += 1
        entry["sequence"] = self._sequence
        self._entries.append(entry)
        if len(self._entries) > self.most:
            self._entries.popleft()
        self._write(entry)
        return entry

    def _write(self, entry: Entry) -> None:
        if self._out is not None:
            self._out.write(json.dumps(_shown(entry), separators=(",", ":")) + "\n")


def _shown(entry: Entry) -> Entry:
    """With its time as text: of most entries nobody ever asks for it."""
    at = entry.get("at")
    return {**entry, "at": wire_time(at)} if isinstance(at, datetime) else entry


def _count(table: dict[str, Counter[str]], operation: str, endpoints: Sequence[str]) -> None:
    counter = table.get(operation)
    if counter is None:
        counter = table[operation] = Counter()
    for esn in endpoints:
        counter[esn] = counter.get(esn, 0) + 1


def _names(entry: Entry, operation: str) -> bool:
    name = str(entry.get("operation", ""))
    return operation in (name, name.rpartition(".")[2])


def _endpoints(entry: Entry) -> list[str]:
    found = entry.get("endpoints")
    return found if isinstance(found, list) else []


def _sequence(entry: Entry) -> int:
    found = entry["sequence"]
    return found if isinstance(found, int) else 0
