"""SQL of payloads, loads and measurements. Loads that are not 'loaded' are never seen.

channel, conversion and measured are in the file of measurements, all else in the gateway's; each
connection has the other file attached. No name is in both.
"""

from typing import Final

from adapter.engine.upkeep.set_aside import RowKind
from adapter.store.readings.owners import owner_of
from adapter.store.upkeep.free_rows import as_text, free

VISIBLE: Final = "(SELECT state FROM load AS shown WHERE shown.id = load) = 'loaded'"

# ---------------------------------------------------------------- payloads and loads

WAITING: Final = f"""
SELECT inbox.id, operation, at, coalesce(inbox_spool.file, ''),
       coalesce(inbox_spool.bytes, length(inbox_raw.raw)), hash
FROM inbox JOIN inbox_raw ON inbox_raw.id = inbox.id
     LEFT JOIN inbox_spool ON inbox_spool.id = inbox.id
WHERE state = 'loading' AND state <> 'applied' AND {free(RowKind.PAYLOAD, as_text("inbox.id"))}
ORDER BY inbox.id LIMIT :limit"""
RAW: Final = "SELECT raw FROM inbox_raw WHERE id = ?"
PAYLOAD_OF_INBOX: Final = "SELECT id FROM payload WHERE inbox = ?"
PAYLOAD_OF_FILE: Final = "SELECT id, state FROM payload WHERE inbox IS NULL AND digest = ?"
INSERT_PAYLOAD: Final = """
INSERT INTO payload (inbox, source, operation, state, reason, at, bytes, digest, spool, counts,
                     raw_kept)
VALUES (?, ?, ?, 'loading', '', ?, ?, ?, ?, X'7B7D', 1) RETURNING id"""
RESTART_PAYLOAD: Final = """
UPDATE payload SET state = 'loading', reason = '', position = NULL, finished = NULL WHERE id = ?"""
FINISH_PAYLOAD: Final = """
UPDATE payload SET state = ?, reason = ?, position = ?, finished = ?, counts = ? WHERE id = ?"""
_PAYLOADS: Final = """
SELECT id, inbox, source, operation, state, reason, position, at, finished, bytes, spool, counts
FROM payload """
PAYLOADS: Final = _PAYLOADS + "WHERE id < ? ORDER BY id DESC LIMIT ?"
PAYLOAD: Final = _PAYLOADS + "WHERE id = ?"
EXPIRED: Final = f"""
SELECT p.id FROM payload p LEFT JOIN inbox ON inbox.id = p.inbox
WHERE p.raw_kept = 1 AND p.finished < :before AND (
    p.state = 'loaded' AND NOT EXISTS (
        SELECT 1 FROM intake_error e
        WHERE e.payload = p.id AND e.reason = 'bad_part' AND e.state = 'open')
    OR p.state = 'quarantined' AND (p.inbox IS NULL OR coalesce(inbox.state, '') = 'discarded'))
    AND {free(RowKind.BODY, as_text("p.id"))}
ORDER BY p.id LIMIT :limit"""
SPOOLED_FILES: Final = """
SELECT spool FROM payload WHERE spool <> '' UNION SELECT file FROM inbox_spool"""
FORGET_RAW: Final = "UPDATE inbox_raw SET raw = X'' WHERE id = ?"
FORGET_SPOOL: Final = "DELETE FROM inbox_spool WHERE id = ?"
FORGET_FILE: Final = """
UPDATE payload SET spool = '', raw_kept = 0 WHERE id = ?"""

INSERT_LOAD: Final = """
INSERT INTO load (payload, state, started) VALUES (?, 'loading', ?) RETURNING id"""
ABANDON_LOADS: Final = """
UPDATE load SET state = 'abandoned' WHERE payload = ? AND state = 'loading'"""
END_LOAD: Final = "UPDATE load SET state = ? WHERE id = ?"
ABANDONED: Final = "SELECT id FROM load WHERE state = 'abandoned' ORDER BY id LIMIT 1"
FORGET_LOADS: Final = "DELETE FROM measured WHERE load >= ?"
SWEEP_MEASURED: Final = """
DELETE FROM measured WHERE (channel, at, load, n) IN
    (SELECT channel, at, load, n FROM measured WHERE load = :load LIMIT :limit)"""
SWEEP: Final = (
    "DELETE FROM intake_error WHERE load = :load",
    "DELETE FROM arrived_event WHERE load = :load",
    "DELETE FROM block_seen WHERE load = :load",
)

# ---------------------------------------------------------------- staging

_LEAVING: Final = """
SELECT d.body, coalesce((SELECT min(i.removed) FROM install_event i WHERE i.device = d.id), 0)
FROM device d WHERE d.{} = ? ORDER BY d.id LIMIT ?"""
DEVICES_OF_ESN: Final = _LEAVING.format("endpoint")
DEVICES_OF_SERIAL: Final = _LEAVING.format("serial")
"""Each with 1 where it was installed and is not any more."""
CHANNEL: Final = """
SELECT id FROM channel
WHERE device = ? AND component = ? AND kind = ? AND same_quantity = ? AND source = ?
  AND seconds = ? AND endpoint = ? AND unit = ?"""
INSERT_CHANNEL: Final = """
INSERT INTO channel (device, component, kind, same_quantity, source, seconds, endpoint, unit,
                     quantity, tou, sqi)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id"""
CONVERSION: Final = "SELECT id FROM conversion WHERE words = ?"
INSERT_CONVERSION: Final = "INSERT INTO conversion (words) VALUES (?) RETURNING id"
RECEIVED: Final = "SELECT at FROM payload WHERE id = ?"
FIRST_INSTALLED: Final = "SELECT min(installed_at) FROM install_event WHERE device = ?"
STATE_OF_LOAD: Final = "SELECT state FROM load WHERE id = ?"
KNOWN: Final = """
SELECT at, load, n, value, head_end_value, condition, statuses FROM measured
WHERE channel = :channel AND at BETWEEN :start AND :end ORDER BY at, load, n"""
FLAGGED: Final = """
SELECT load FROM measured WHERE channel = :channel AND at BETWEEN :start AND :end
AND instr(statuses, :word) > 0 ORDER BY at DESC"""
_INTO_MEASURED: Final = """
INSERT INTO measured (channel, at, load, n, value, head_end_value, condition, statuses, conversion)
VALUES """
INSERT_MEASURED: Final = _INTO_MEASURED + "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
ROWS_AT_ONCE: Final = 24
"""A day of hours: half of what an insert costs is the statement, and not the row."""
INSERT_ROWS: Final = _INTO_MEASURED + ", ".join(
    ["(?1, ?4, ?2, 0, ?, ?, ?, ?, ?3)"] + ["(?1, ?, ?2, 0, ?, ?, ?, ?, ?3)"] * (ROWS_AT_ONCE - 1)
)
"""?1, ?2 and ?3: the channel, the load and the conversion of all; from ?4 on what each row has."""
INSERT_ERROR: Final = """
INSERT INTO intake_error (load, payload, part, position, endpoint, reason, detail, body, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'open')"""
INSERT_BLOCK: Final = """
INSERT INTO block_seen (load, endpoint, total, block, starts, ends)
VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
INSERT_EVENT: Final = """
INSERT INTO arrived_event (load, endpoint, at, exception, name, body) VALUES (?, ?, ?, ?, ?, ?)"""

# ---------------------------------------------------------------- reading

_COLUMNS: Final = """c.device, c.endpoint, c.component, c.kind, c.quantity, c.source, c.seconds,
       c.unit, c.tou, c.sqi, m.at, m.value, m.head_end_value, m.condition, m.statuses, v.words,
       m.load, m.n, load.payload"""
_TABLES: Final = """
FROM channel c JOIN measured m ON m.channel = c.id JOIN conversion v ON v.id = m.conversion
     JOIN load ON load.id = m.load """
_SEEN: Final = "load.state = 'loaded'"
_LATEST: Final = """NOT EXISTS (
    SELECT 1 FROM measured later JOIN load shown ON shown.id = later.load
    WHERE later.channel = m.channel AND later.at = m.at AND shown.state = 'loaded'
      AND (later.load, later.n) > (m.load, m.n))"""


def select(where: str, *, revisions: bool) -> str:
    """The measurements of the channels that `where` (one of WHERE) chooses, oldest first."""
    latest = "" if revisions else f" AND {_LATEST}"
    return (
        f"SELECT {_COLUMNS}{_TABLES}WHERE {where} AND m.at BETWEEN :start AND :end"
        f" AND {_SEEN}{latest} ORDER BY m.at, c.component, c.id, m.load, m.n LIMIT :limit"
    )


# Of each channel, condition and side of `near` the nearest row: whoever looks for the nearest in a
# range of conditions misses none. The last visible row of a time is its latest revision; min()
# alone in an aggregate query has the bare columns come from its row (documented by SQLite).
_NEAREST: Final = """
    SELECT channel, at, load, n, min(abs(at - :near)) FROM seen
    WHERE value IS NOT NULL AND following IS NOT at
    GROUP BY channel, condition, at <= :near"""
NEAREST: Final = f"""
WITH seen AS (
    SELECT channel, at, load, n, condition, value,
        lead(at) OVER (PARTITION BY channel ORDER BY at, load, n) AS following
    FROM measured
    WHERE channel IN (SELECT id FROM channel WHERE device = :device)
      AND at >= :start AND at < :end AND {VISIBLE}),
nearest AS ({_NEAREST})
SELECT {_COLUMNS} FROM nearest JOIN measured m USING (channel, at, load, n)
     JOIN channel c ON c.id = m.channel JOIN conversion v ON v.id = m.conversion
     JOIN load ON load.id = m.load
ORDER BY m.at, c.component, c.id"""

WHERE: Final = {
    "device": "c.device = :key",
    "component": "c.component = :key",
    "endpoint": "c.endpoint = :key",
    "endpoints": "c.endpoint IN (SELECT value FROM json_each(:key)) AND c.kind = :kind",
}

WITH_READINGS: Final = f"""
SELECT asked.value FROM json_each(:key) AS asked
WHERE EXISTS (SELECT 1 FROM channel c JOIN measured ON measured.channel = c.id
              WHERE c.endpoint = asked.value AND c.kind = :kind
                AND measured.at BETWEEN :start AND :end AND {VISIBLE})"""

ERRORS: Final = f"""
SELECT id, payload, load, part, position, endpoint, reason, detail, body, state FROM intake_error
WHERE state = :state AND id > :after AND (:payload IS NULL OR payload = :payload) AND {VISIBLE}
ORDER BY id LIMIT :limit"""
# What a payload gave of a channel. Values that it repeated are in the loads that had them before,
# where :repeated lets them count.
GIVEN: Final = """
SELECT m.at FROM channel c JOIN measured m ON m.channel = c.id JOIN load ON load.id = m.load
WHERE c.device = :device AND c.kind = :kind AND c.same_quantity = :quantity
  AND c.source = :source AND c.seconds = :seconds AND m.at BETWEEN :start AND :end
  AND load.state = 'loaded' AND (load.payload = :payload OR :repeated)"""
RESOLVE_ERROR: Final = "UPDATE intake_error SET state = 'resolved' WHERE id = ? AND state = 'open'"
COUNT_ERRORS: Final = f"""
SELECT reason, count(*) FROM intake_error WHERE state = 'open' AND {VISIBLE}
GROUP BY reason ORDER BY reason"""
EVENTS_AFTER: Final = f"""
SELECT id, load, endpoint, at, exception, body FROM arrived_event
WHERE (load, id) > (:load, :id) AND {VISIBLE}
    AND {free(RowKind.EVENT, as_text("arrived_event.id"))} ORDER BY load, id LIMIT :limit"""
EVENTS_OF: Final = """
SELECT id, load, endpoint, at, exception, body FROM arrived_event
WHERE id IN (SELECT value FROM json_each(?)) ORDER BY load, id"""

# ---------------------------------------------------------------- reports
# Channels in the order of their unique index, values of one in that of the key.

_CHANNELS: Final = "device, component, kind, same_quantity, source, seconds, endpoint, unit"
_ENTERED: Final = "device, at, id"


def channels_of(*, device: bool, component: bool, resumed: bool) -> str:
    """Channels in order, from :channel on where `resumed`."""
    where = ["device = :device"] if device else []
    where += ["component = :component"] if component else []
    where += (
        [f"({_CHANNELS}) >= (SELECT {_CHANNELS} FROM channel WHERE id = :channel)"]
        if resumed
        else []
    )
    return f"""
SELECT id, device, endpoint, component, kind, quantity, source, seconds, unit, tou, sqi
FROM channel {"WHERE " + " AND ".join(where) if where else ""} ORDER BY {_CHANNELS}"""


REPORTED_VALUES: Final = """
SELECT m.at, m.value, m.head_end_value, m.condition, m.statuses, v.words, m.load, m.n, load.payload
FROM measured m CROSS JOIN load ON load.id = m.load CROSS JOIN conversion v ON v.id = m.conversion
WHERE m.channel = :channel AND m.at BETWEEN :start AND :end
  AND (m.at, m.load, m.n) > (:at, :load, :n)
  AND m.load <= :as_of AND load.state = 'loaded'
ORDER BY m.at, m.load, m.n"""


def entered(*, device: bool, resumed: bool) -> str:
    """Readings of crews and people in order, after :key where `resumed`."""
    where = ["device = :device"] if device else []
    where += [f"({_ENTERED}) > (SELECT {_ENTERED} FROM crew_measurement WHERE id = :key)"] * resumed
    return f"""
SELECT id, device, body FROM crew_measurement
WHERE {" AND ".join([*where, "at > :start AND at <= :end"])} ORDER BY {_ENTERED}"""


ENTERED_KEY: Final = "SELECT 1 FROM crew_measurement WHERE id = ?"
NEWEST_LOAD: Final = "SELECT coalesce(max(id), 0) FROM load WHERE state = 'loaded'"
NEWEST_EVENT: Final = "SELECT coalesce(max(id), 0) FROM arrived_event"
REPORTED_EVENTS: Final = f"""
SELECT e.id, {owner_of("e.endpoint")},
       e.endpoint, e.at, e.exception, e.name, e.body, e.load, load.payload,
       e.result, e.event, d.published, d.body, s.started, s.ended
FROM arrived_event e CROSS JOIN load ON load.id = e.load
     LEFT JOIN device_event d ON d.id = e.event
     LEFT JOIN device_spell s ON s.endpoint = d.endpoint AND s.pair = d.pair AND d.pair <> ''
         AND s.started = CASE d.last WHEN 0 THEN d.at ELSE
             (SELECT max(started) FROM device_spell t
              WHERE t.endpoint = d.endpoint AND t.pair = d.pair AND t.ended = d.at) END
WHERE e.id > :after AND e.id <= :until AND e.at > :start AND e.at <= :end
  AND e.load <= :as_of AND load.state = 'loaded'
  AND (e.endpoint = (SELECT endpoint FROM device WHERE id = :device) OR :device IS NULL)
ORDER BY e.id LIMIT :limit"""
ARRIVED: Final = """
SELECT payload.id, payload.operation, payload.state, payload.at, payload.finished, payload.bytes,
       CAST(payload.counts AS TEXT), inbox.token
FROM payload LEFT JOIN inbox ON inbox.id = payload.inbox
WHERE payload.at >= ? AND payload.at < ? ORDER BY payload.id"""
