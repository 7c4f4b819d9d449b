"""What is only ever appended: audit and publications, a part of the model.

What JSON would change on its way through a database (mappings) is changed here as well.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from adapter.engine.commands.ports import AuditEntry, AuditNote, Publication, PublicationRow
from adapter.model.ids import EventId
from adapter.store import rows
from adapter.store.chain import Head, follow, verify
from adapter.store.rows import encode, micros


class Journal:
    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._publications: dict[EventId, PublicationRow] = {}
        self._cursors: dict[str, int] = {}
        self._audit: list[AuditEntry] = []
        self.head = Head()

    def publish(self, publications: Iterable[Publication], at: datetime) -> None:
        for item in publications:
            seq = next(self._numbers)  # what is told again takes one, too
            if item.id not in self._publications:
                plain = rows.decode_publication(encode(item))
                self._publications[item.id] = PublicationRow(seq=seq, at=at, publication=plain)

    def note(self, notes: Iterable[AuditNote], at: datetime) -> None:
        for note in notes:
            body = rows.encode_note(note)
            previous, self.head = self.head, follow(self.head, micros(at), body)
            self._audit.append(
                AuditEntry(
                    seq=self.head.seq,
                    at=at,
                    note=rows.decode_note(body),
                    previous=previous.digest.hex(),
                    digest=self.head.digest.hex(),
                )
            )

    def audit(
        self, subjects: Collection[str] | None, after: int, limit: int
    ) -> Sequence[AuditEntry]:
        found = [
            entry
            for entry in self._audit[after:]
            if subjects is None or entry.note.subject in subjects
        ]
        return found[:limit]

    def verify_audit(self, heads: Sequence[tuple[int, str]] = ()) -> int:
        walk = (
            (x.seq, micros(x.at), rows.encode_note(x.note), bytes.fromhex(x.digest))
            for x in self._audit
        )
        known = [Head.told(*each) for each in heads]
        return verify(walk, [*known, self.head])

    @property
    def published(self) -> int:
        return len(self._publications)

    def outbox(self, sink: str, *, limit: int) -> Sequence[PublicationRow]:
        after = self._cursors.get(sink, 0)
        return [row for row in self._publications.values() if row.seq > after][:limit]

    def delivered(self, sink: str, seq: int) -> None:
        self._cursors[sink] = max(seq, self._cursors.get(sink, 0))
