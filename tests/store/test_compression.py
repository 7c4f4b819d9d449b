"""What is stored short comes back as it was, byte for byte."""

import hashlib
import json
import tracemalloc
import zlib
from importlib import resources

import pytest

from adapter.engine.commands.ports import AuditNote
from adapter.store import rows
from adapter.store.compression import compressed, expanded, expanded_or_damaged
from tests.support import for_every
from tests.web.both_servers import status_changed

MIB = 1024 * 1024
_BODIES = {
    "empty": b"",
    "short": b"<a/>",
    "a callback": status_changed("11111111-2222-4333-8444-555555555555", "Completed"),
    "not XML": bytes(range(256)) * 40,
    "nothing repeated": hashlib.shake_128(b"x").digest(5_000),
    "long": b"<read>1</read>" * 20_000,
}


@for_every("name", _BODIES)
def test_a_message_comes_back_as_it_was(name: str) -> None:
    form, stored = compressed(_BODIES[name])
    assert expanded(form, stored) == _BODIES[name]
    assert len(stored) <= len(_BODIES[name])


def test_a_callback_takes_a_fifth_of_its_bytes() -> None:
    body = _BODIES["a callback"]
    assert len(compressed(body)[1]) < len(body) / 5


def test_the_dictionary_is_the_one_that_stores_were_written_with() -> None:
    """Never changed: another one gets another number, and rows of this form still need this one."""
    words = resources.files("adapter.store").joinpath("dictionary_1.txt").read_bytes()
    assert (
        hashlib.sha256(words).hexdigest()
        == "78aa907a5f89b065bb0863d788952774d9238d940eb629e049aaba605b32ba14"
    )


def test_what_is_damaged_is_told_or_left_as_it_is() -> None:
    form, stored = compressed(_BODIES["a callback"])
    for damaged in (stored[:-1], stored + b"x", b"\xff" + stored[1:]):
        with pytest.raises(zlib.error):
            expanded(form, damaged)
        assert expanded_or_damaged(form, damaged, None) == damaged
    with pytest.raises(ValueError, match="form 7"):
        expanded(7, stored)


def test_what_is_longer_than_the_bound_is_stored_as_it_is() -> None:
    for length, short in ((16 * MIB, True), (16 * MIB + 1, False)):
        form, stored = compressed(bytes(length))
        assert (len(stored) < length) is short
        assert expanded(form, stored) == bytes(length)


def test_what_a_forged_row_would_become_is_never_held() -> None:
    """An eighth of a gigabyte of zeros, in an eighth of a megabyte."""
    maker = zlib.compressobj(9, zlib.DEFLATED, -13)
    forged = b"".join(maker.compress(bytes(MIB)) for _ in range(128)) + maker.flush()
    form, _ = compressed(_BODIES["a callback"])
    tracemalloc.start()
    try:
        with pytest.raises(zlib.error, match="more than 16777216"):
            expanded(form, forged)
        assert expanded_or_damaged(form, forged, None) == forged
        assert tracemalloc.get_traced_memory()[1] < 64 * MIB
    finally:
        tracemalloc.stop()


_NOTES: dict[str, dict[str, object]] = {
    "of a command": {"moves": [["c-1", "queued", "sending"], ["c-1-1", "", "queued"]]},
    "without detail": {},
    "with the sign that stands for the subject": {"reason": "~ and more", "c-1": ["~c-1"]},
    "with quotes": {"reason": 'said "c-1", and "~"'},
    "nested": {"a": {"b": {}}},
}


@for_every("subject", ["c-1", "", "~", 'a "quoted" one', "Zähler"])
def test_a_note_comes_back_as_it_was_encoded(subject: str) -> None:
    for detail in _NOTES.values():
        note = AuditNote(actor=subject, action="Done", subject=subject, detail=detail)
        encoded = rows.encode_note(note)
        stored = rows.short_note(encoded, subject)
        assert rows.whole_note(stored, subject) == encoded
        assert len(stored) <= len(encoded)
        json.loads(stored)
