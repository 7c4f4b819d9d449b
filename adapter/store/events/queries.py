"""SQL of device events, spells, error records and storm windows."""

from typing import Final

from adapter.engine.upkeep.set_aside import RowKind
from adapter.store.readings.owners import owner_of
from adapter.store.upkeep.free_rows import as_text, free

CURSOR: Final = "SELECT load, arrived FROM event_cursor"
MOVE_CURSOR: Final = "UPDATE event_cursor SET load = ?, arrived = ?"
INSERT_EVENT: Final = """
INSERT INTO device_event
    (endpoint, name, at, sequence, device, category, pair, last, published, exception, taken, body)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?) RETURNING id"""
SAME_TIME: Final = """
SELECT id, sequence, exception, other_sequence FROM device_event
WHERE endpoint = ? AND name = ? AND at = ? ORDER BY id"""
OTHER_SEQUENCE: Final = "UPDATE device_event SET other_sequence = ? WHERE id = ?"
FOLLOW_ARRIVAL: Final = "UPDATE arrived_event SET result = ?, event = ? WHERE id = ?"
FOLLOW_RESOLVED: Final = """
WITH mine AS (
    SELECT a.id FROM event_error e JOIN arrived_event a
        ON a.result = 'unknown' AND a.endpoint = e.endpoint AND a.at = e.at AND a.name = e.name
        AND coalesce(CAST(CAST(a.body AS TEXT) ->> '$.sequence' AS INTEGER), -1) = e.sequence
    WHERE e.id = :error)
UPDATE arrived_event SET event = :event,
    result = CASE WHEN id = (SELECT min(id) FROM mine) THEN :result ELSE 'repeated' END
WHERE id IN (SELECT id FROM mine)"""
PUBLISHED: Final = "UPDATE device_event SET published = 1 WHERE id = ?"

# The last end of a pair strictly before a moment, at which nothing begins: after it nothing is open
BOUNDARY: Final = """
SELECT max(e.at) FROM device_event e
WHERE e.endpoint = :endpoint AND e.pair = :pair AND e.pair <> '' AND e.at < :at AND e.last = 1
  AND NOT EXISTS (
    SELECT 1 FROM device_event f WHERE f.endpoint = e.endpoint AND f.pair = e.pair
    AND f.pair <> '' AND f.at = e.at AND f.last = 0)"""
MARKS: Final = """
SELECT at, sequence, last FROM device_event
WHERE endpoint = :endpoint AND pair = :pair AND pair <> '' AND at > :after"""
DROP_SPELLS: Final = """
DELETE FROM device_spell WHERE endpoint = :endpoint AND pair = :pair AND started > :after"""
INSERT_SPELL: Final = """
INSERT INTO device_spell (endpoint, pair, started, ended, device) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (endpoint, pair, started) DO UPDATE SET ended = excluded.ended"""
SPELL_ENDED_AT: Final = """
SELECT started FROM device_spell WHERE endpoint = ? AND pair = ? AND ended = ?
ORDER BY started DESC LIMIT 1"""

INSERT_ERROR: Final = """
INSERT INTO event_error (endpoint, name, at, sequence, state, body)
VALUES (?, ?, ?, ?, 'open', ?) ON CONFLICT (endpoint, name, at, sequence) DO NOTHING"""
RESOLVE_ERROR: Final = "UPDATE event_error SET state = 'resolved' WHERE id = ?"
ERRORS: Final = f"""
SELECT id, state, endpoint, at, body FROM event_error WHERE state = :state AND id > :after
    AND {free(RowKind.EVENT_ERROR, as_text("event_error.id"))} ORDER BY id LIMIT :limit"""

OPEN_WINDOW: Final = """
SELECT started, ends, published, in_summary, counts FROM event_window
WHERE bucket = ? AND summed_up = 0 AND ends > ? ORDER BY started DESC LIMIT 1"""
PUT_WINDOW: Final = """
INSERT INTO event_window (bucket, started, ends, published, in_summary, counts, summed_up)
VALUES (?, ?, ?, ?, ?, ?, 0)
ON CONFLICT (bucket, started) DO UPDATE SET
    published = excluded.published, in_summary = excluded.in_summary, counts = excluded.counts"""
_WINDOW: Final = f"bucket || '/' || {as_text('started')}"
ENDED_WINDOW: Final = f"""
SELECT bucket, started, ends, published, in_summary, counts FROM event_window
WHERE summed_up = 0 AND ends <= :now AND {free(RowKind.STORM, _WINDOW)} LIMIT 1000"""
SUMMED_UP: Final = "UPDATE event_window SET summed_up = 1 WHERE bucket = ? AND started = ?"
DROP_WINDOW: Final = "DELETE FROM event_window WHERE bucket = ? AND started = ?"

EVENTS: Final = f"""
SELECT id, coalesce(device, {owner_of("device_event.endpoint")}),
       published, other_sequence, body FROM device_event
WHERE id < :before
  AND (:device IS NULL OR device = :device) AND (:endpoint IS NULL OR endpoint = :endpoint)
  AND (:name IS NULL OR name = :name) AND (:category IS NULL OR category = :category)
  AND (:since IS NULL OR at >= :since)
ORDER BY id DESC LIMIT :limit"""
COUNTS: Final = "SELECT name, count(*) FROM device_event GROUP BY name"
ONGOING: Final = f"""
SELECT endpoint, coalesce(device, {owner_of("s.endpoint")}),
       started, ended FROM device_spell s
WHERE pair = :pair AND ended IS NULL AND (started, endpoint) > (:started, :endpoint)
ORDER BY started, endpoint LIMIT :limit"""
OVER: Final = f"""
SELECT endpoint, coalesce(device, {owner_of("s.endpoint")}),
       started, ended FROM device_spell s
WHERE pair = :pair AND ended IS NOT NULL AND ended >= :since
ORDER BY ended DESC, endpoint LIMIT :limit"""
COUNT_ONGOING: Final = "SELECT count(*) FROM device_spell WHERE pair = ? AND ended IS NULL"
DEVICE_OF: Final = f"SELECT {owner_of('?')}"
