"""The SQL of commands and their communications, of the inbox, the audit and what else a command
writes. Other subjects have a `queries.py` of their own, or their SQL in their one module.

A test looks at the plan of each one that runs often.
"""

from typing import Final

from adapter.commands import flows
from adapter.engine.commands import correlator
from adapter.engine.upkeep.set_aside import RowKind
from adapter.store import rows
from adapter.store.transaction import Each, Many
from adapter.store.upkeep.free_rows import as_text, free, not_failed, not_set_aside

# ---------------------------------------------------------------- commands

INSERT_COMMAND: Final = """
INSERT INTO command (id, key, kind, state, wake, version, noted, activity)
VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
INSERT_COMMANDS: Final = Many(
    "INSERT INTO command (number, id, key, kind, state, wake, version, noted, activity)", 9
)
"""With numbers that were taken before."""
UNDO_COMMAND: Final = "DELETE FROM command WHERE number = ?"
INSERT_ASKED: Final = Many("INSERT INTO asked (number, content, request, targets)", 4)
INSERT_TARGET: Final = Many("INSERT INTO target (device, command)", 2, " ON CONFLICT DO NOTHING")
_CONTENT: Final = (
    "SELECT id, content FROM command JOIN asked ON asked.number = command.number WHERE "
)
COMMAND_OF_KEY: Final = _CONTENT + "key IS NOT NULL AND key = ?"
CONTENT_OF_COMMAND: Final = _CONTENT + "id = ?"
# The guard is the version. Most saves leave state and wake as they are: then no index is written.
# ?1 number, ?2 version, ?3 noted, ?4 state, ?5 wake, ?6 activity or NULL where it stays as it is
_SAVE: Final = "UPDATE command SET version = ?2 + 1, noted = ?3"
_AS_IT_IS: Final = (
    " WHERE number = ?1 AND version = ?2 AND state = ?4 AND wake IS NOT DISTINCT FROM ?5"
)
SAVE_VERSION: Final = Each(_SAVE + _AS_IT_IS)
SAVE_ACTIVITY: Final = Each(_SAVE + ", activity = ?6" + _AS_IT_IS)
# State and wake are in indexes of their own: what stays is not written again.
WAKE_COMMAND: Final = Each(
    _SAVE
    + """, wake = ?5, activity = coalesce(?6, activity)
WHERE number = ?1 AND version = ?2 AND state = ?4"""
)
MOVE_COMMAND: Final = Each(
    _SAVE
    + """, state = ?4, wake = ?5, activity = coalesce(?6, activity)
WHERE number = ?1 AND version = ?2"""
)
SAVED_COMMANDS: Final = """
SELECT id, number, version, noted, wake FROM command WHERE id IN (SELECT value FROM json_each(?))"""
LOAD_COMMANDS: Final = """
SELECT id, kind, state, version, activity, request, targets
FROM command JOIN asked ON asked.number = command.number
WHERE id IN (SELECT value FROM json_each(?))"""
# For lists: the targets of a city, page after page of such commands, would fill the memory.
LIST_COMMANDS: Final = """
SELECT id, kind, state, version, activity, request,
       CASE WHEN length(targets) > :most THEN CAST('[]' AS BLOB) ELSE targets END,
       CASE WHEN length(targets) <= :most THEN 0
            WHEN json_valid(CAST(targets AS TEXT)) THEN json_array_length(CAST(targets AS TEXT)) END
FROM command JOIN asked ON asked.number = command.number
WHERE id IN (SELECT value FROM json_each(:ids))"""
COMMANDS_DUE: Final = f"""
SELECT id FROM command WHERE wake IS NOT NULL AND wake <= :now
    AND {free(RowKind.COMMAND, "command.id")} ORDER BY wake, id LIMIT :limit"""
ANY_DUE: Final = "SELECT 1 FROM command WHERE wake IS NOT NULL AND wake <= ? LIMIT 1"
DELAY_COMMAND: Final = "UPDATE command SET wake = ? WHERE id = ?"
FIRST_COMMAND_WAKE: Final = f"""
SELECT wake FROM command
WHERE wake IS NOT NULL AND {not_failed(RowKind.COMMAND, "command.id")} ORDER BY wake LIMIT 1"""
FIRST_TRY: Final = """
SELECT due FROM failed_row WHERE state = 'waiting' ORDER BY due LIMIT 1"""

# The base table of a listing, its condition, and its order; newest first by id.
LIST_ALL: Final = "SELECT id FROM command WHERE id < :before ORDER BY id DESC"
LIST_KIND: Final = """
SELECT id FROM command WHERE kind = :kind AND id < :before ORDER BY id DESC"""
LIST_COMPLETED: Final = """
SELECT id FROM command WHERE state = 'completed' AND id < :before ORDER BY id DESC"""
LIST_STATE: Final = """
SELECT id FROM command
WHERE state = :state AND state <> 'completed' AND id < :before ORDER BY id DESC"""
OPEN_COMMANDS: Final = LIST_STATE
"""Asked once for each state that is not final, and merged: so each walks along one index."""
LIST_DEVICE: Final = """
SELECT command FROM target WHERE device = :device AND command < :before ORDER BY command DESC"""
COMMAND_MARKS: Final = "SELECT kind, state FROM command WHERE id = ?"
COMMAND_REQUEST: Final = """
SELECT request FROM command JOIN asked ON asked.number = command.number WHERE id = ?"""

# ---------------------------------------------------------------- communications


def number_of(communication: str) -> str:
    """SQL for the number of the one that this column names, by id or by number."""
    return f"""
CASE typeof({communication}) WHEN 'integer' THEN {communication}
    ELSE (SELECT number FROM communication WHERE id = {communication}) END"""


INSERT_COMMUNICATION: Final = Many(
    """
INSERT INTO communication (
    id, command, position, operation, priority, work, state, wake, due, token, sent, body)""",
    12,
    numbered=True,
)
# By what has changed. A lease (due) holds for as long as work, state and wake stay as they were.
SAVE_COMMUNICATION: Final = Each("UPDATE communication SET body = ? WHERE id = ?")
LEARN_TOKEN: Final = Each("UPDATE communication SET token = ?, sent = ?, body = ? WHERE id = ?")
_MOVE: Final = "UPDATE communication SET work = ?, state = ?, wake = ?, due = ?, "
MOVE_COMMUNICATION: Final = Each(_MOVE + "sent = ?, body = ? WHERE id = ?")
MOVE_WITH_TOKEN: Final = Each(_MOVE + "token = ?, sent = ?, body = ? WHERE id = ?")
INSERT_ENDPOINTS: Final = Many("INSERT INTO communication_endpoints (id, endpoints)", 2)
_COMMUNICATION_COLUMNS: Final = "communication.id, operation, work, state, wake, token, body"
_WITH_ENDPOINTS: Final = f"""endpoints, {_COMMUNICATION_COLUMNS}
FROM communication
LEFT JOIN communication_endpoints ON communication_endpoints.id = communication.id """
_COMMUNICATIONS: Final = f"SELECT command, {_WITH_ENDPOINTS}"
_FOUND: Final = f"""
SELECT command, (SELECT version FROM command AS c WHERE c.id = communication.command),
    {_WITH_ENDPOINTS}"""
COMMUNICATIONS_OF_COMMANDS: Final = (
    _COMMUNICATIONS + "WHERE command IN (SELECT value FROM json_each(?)) ORDER BY command, position"
)
LIST_COMMUNICATIONS: Final = f"""
SELECT command, {_COMMUNICATION_COLUMNS} FROM communication
WHERE command IN (SELECT value FROM json_each(?)) ORDER BY command, position"""
COMMUNICATION_OF_TOKEN: Final = "SELECT id FROM communication WHERE token IS NOT NULL AND token = ?"
FIND_COMMUNICATIONS: Final = _FOUND + "WHERE communication.id IN (SELECT value FROM json_each(?))"
FIND_TOKENS: Final = (
    _FOUND + "WHERE token IS NOT NULL AND token IN (SELECT value FROM json_each(?))"
)
# From one (priority, operation) that has this work to the next, one index search apiece. As one
# statement with `(priority, operation) > (?, ?)` SQLite would walk through all of a priority.
NEXT_CLAIM_OPERATION: Final = """
SELECT priority, operation, due FROM communication
WHERE work = ? AND priority = ? AND operation > ? AND due IS NOT NULL
ORDER BY operation, due LIMIT 1"""
NEXT_CLAIM_PRIORITY: Final = """
SELECT priority, operation, due FROM communication
WHERE work = ? AND priority > ? AND due IS NOT NULL
ORDER BY priority, operation, due LIMIT 1"""
CLAIMABLE: Final = f"""
SELECT due, id, command FROM communication
WHERE work = :work AND priority = :priority AND operation = :operation
    AND due IS NOT NULL AND due <= :now AND {free(RowKind.COMMUNICATION, "communication.id")}
ORDER BY due, id LIMIT :limit"""
LEASE_COMMUNICATION: Final = "UPDATE communication SET due = ? WHERE id = ?"
SENDING: Final = """
SELECT command, id, operation, priority FROM communication WHERE state = 'sending' ORDER BY id"""

# ---------------------------------------------------------------- what goes with a command

UPSERT_COMPLETION: Final = Many(
    "INSERT INTO completion (id, command, kind, state)",
    4,
    " ON CONFLICT (id) DO UPDATE SET state = excluded.state",
)
UPSERT_OUTCOME: Final = Many(
    "INSERT INTO outcome (command, endpoint, body)",
    3,
    " ON CONFLICT (command, endpoint) DO UPDATE SET body = excluded.body",
)
OUTCOMES: Final = "SELECT body FROM outcome WHERE command = ? ORDER BY endpoint"
SWITCH_OUT: Final = f"""
SELECT command.id FROM lane JOIN command ON command.number = lane.command
    JOIN communication ON communication.command = command.id
WHERE lane.name = ? AND communication.state IN ('sending', 'awaiting', 'fetching', 'unclear')
    AND communication.operation IN ({", ".join(f"'{x}'" for x in sorted(flows.SWITCH_OPERATIONS))})
LIMIT 1"""
TAKE_FREE_LANES: Final = Many("INSERT INTO lane (name, command)", 2)
TRY_FREE_LANES: Final = Many(
    "INSERT INTO lane (name, command)", 2, " ON CONFLICT (name) DO NOTHING"
)
TAKE_LANE: Final = """
INSERT INTO lane (name, command) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET command = excluded.command"""
RELEASE_LANES: Final = """
DELETE FROM lane WHERE command IN (
    SELECT number FROM command WHERE id IN (SELECT value FROM json_each(?)))"""
RELEASE_OF: Final = Each("DELETE FROM lane WHERE command = ?", counted=False)
GIVE_UP_LANES: Final = "DELETE FROM lane WHERE command = ?"
HOLDERS: Final = """
SELECT name, id FROM lane JOIN command ON number = command
WHERE name IN (SELECT value FROM json_each(?)) ORDER BY name"""
DEBITED: Final = """
SELECT count(*) FROM (SELECT 1 FROM debit WHERE bucket = ? AND at > ? LIMIT ?)"""
ANY_HOLD: Final = "SELECT 1 FROM switch_hold LIMIT 1"
INSERT_DEBIT: Final = Many("INSERT INTO debit (bucket, at, command)", 3)

# ---------------------------------------------------------------- inbox

INSERT_INBOX: Final = """
INSERT INTO inbox (operation, at, state, communication, remote, reason, hash, refused, form)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0) RETURNING id"""
INSERT_PARKED: Final = """
INSERT INTO inbox (operation, at, state, communication, remote, reason, hash, refused, form, token,
    wake)
SELECT :operation, :at, :state, :communication, :remote, :reason, :hash, 0, 0, :token, :wake
WHERE NOT EXISTS (SELECT 1 FROM communication WHERE token = :token)
RETURNING id"""
INSERT_JUDGED: Final = Many(
    """
INSERT INTO inbox (operation, at, state, communication, remote, reason, hash, command, token,
    refused, form, raw)""",
    12,
)
INSERT_SPOOLED: Final = "INSERT INTO inbox_spool (id, file, bytes) VALUES (?, ?, ?)"
INSERT_RAW: Final = "INSERT INTO inbox_raw (id, raw) VALUES (?, ?)"
INSERT_REJECTED: Final = """
INSERT INTO rejected (id, known, remote, cause, bytes, times, last_at)
VALUES (?, ?, ?, ?, ?, 1, ?)"""
COUNT_REJECTED: Final = """
UPDATE rejected SET times = times + 1, last_at = :at WHERE id = (
    SELECT rejected.id FROM rejected JOIN inbox ON inbox.id = rejected.id
    WHERE rejected.known = 0 AND rejected.remote = :remote AND cause = :cause
        AND state = 'quarantined'
    ORDER BY rejected.id DESC LIMIT 1)
RETURNING id"""
_OPERATION: Final = f"""
CASE inbox.operation WHEN {rows.STATUS} THEN '{correlator.STATUS_CHANGED}'
    ELSE inbox.operation END"""
_COMMUNICATION: Final = """
CASE typeof(communication) WHEN 'integer' THEN told.id ELSE communication END"""
_INBOX_COLUMNS: Final = """
SELECT inbox.id, {operation}, coalesce(inbox.raw, inbox_raw.raw), at, {communication},
       inbox.remote, inbox.state, reason, {command}, {token}, inbox_spool.file, inbox_spool.bytes,
       hash, rejected.times, rejected.last_at, form, {skeleton}
FROM inbox """
_UNREAD: Final = _INBOX_COLUMNS.format(
    operation="inbox.operation",
    communication="communication",
    command="inbox.command",
    token="inbox.token",
    skeleton="NULL",
)
"""What is to be judged is stored as it came."""
_BODY: Final = """
LEFT JOIN inbox_raw ON inbox_raw.id = inbox.id LEFT JOIN inbox_spool ON inbox_spool.id = inbox.id
LEFT JOIN rejected ON rejected.id = inbox.id
"""
_INBOX: Final = (
    _INBOX_COLUMNS.format(
        operation=_OPERATION,
        communication=_COMMUNICATION,
        command="coalesce(inbox.command, told.command)",
        token="coalesce(inbox.token, told.token)",
        skeleton="skeleton.text",
    )
    + _BODY
    + f"""
LEFT JOIN communication AS told
    ON told.number = {number_of("inbox.communication")} AND inbox.state = 'applied'
LEFT JOIN skeleton ON skeleton.number = inbox.form
"""
)
_FREE: Final = free(RowKind.MESSAGE, as_text("inbox.id"))
# Named, because without statistics SQLite takes the index by state, and walks or sorts.
UNREAD_ADDRESSED: Final = (
    _UNREAD
    + "INDEXED BY inbox_addressed"
    + _BODY
    + f"""WHERE inbox.state = 'new' AND communication IS NOT NULL AND {_FREE}
ORDER BY inbox.id LIMIT :limit"""
)
UNREAD_UNADDRESSED: Final = (
    _UNREAD
    + "INDEXED BY inbox_unaddressed"
    + _BODY
    + f"""WHERE inbox.state = 'new' AND communication IS NULL AND {_FREE}
ORDER BY inbox.id LIMIT :limit"""
)
UNREAD_PARKED: Final = (
    _UNREAD
    + "INDEXED BY inbox_parked"
    + _BODY
    + f"""WHERE inbox.state = 'parked' AND inbox.wake <= :now AND {_FREE}
ORDER BY inbox.wake, inbox.id LIMIT :limit"""
)
INBOX_ROW: Final = _INBOX + "WHERE inbox.id = ?"
INBOX_ALL: Final = _INBOX + "WHERE inbox.id < ? ORDER BY inbox.id DESC LIMIT ?"
INBOX_APPLIED: Final = (
    _INBOX + "WHERE inbox.state = 'applied' AND inbox.id < ? ORDER BY inbox.id DESC LIMIT ?"
)
INBOX_STATE: Final = (
    _INBOX
    + "WHERE inbox.state = ? AND inbox.state <> 'applied' AND inbox.id < ?"
    + " ORDER BY inbox.id DESC LIMIT ?"
)
DISPOSE: Final = """
UPDATE inbox SET state = ?, reason = ?, command = ?, token = ?, wake = ? WHERE id = ?"""
UNPARK: Final = """
UPDATE inbox INDEXED BY inbox_token SET wake = 0
WHERE state = 'parked' AND token IN (SELECT value FROM json_each(?))"""
UNPARK_ONE: Final = Each(
    "UPDATE inbox SET wake = 0 WHERE state = 'parked' AND token = ?", counted=False
)
# It may have become known since somebody looked; then nothing else would bring it back soon.
UNPARK_KNOWN: Final = """
UPDATE inbox SET wake = 0 WHERE id = :inbox AND communication IS NULL
    AND EXISTS (SELECT 1 FROM communication WHERE token = :token)"""
# One that gave way or was given up keeps a wake: that is what tells it from what was judged.
UNPARK_PUSHED_OUT: Final = """
UPDATE inbox INDEXED BY inbox_pushed_out SET state = 'parked', wake = 0
WHERE state = 'quarantined' AND wake IS NOT NULL
    AND token IN (SELECT value FROM json_each(?))"""
UNPARK_ONE_PUSHED_OUT: Final = Each(
    """
UPDATE inbox SET state = 'parked', wake = 0
WHERE state = 'quarantined' AND wake IS NOT NULL AND token = ?""",
    counted=False,
)
# What was given up keeps a wake as well: both come back when their token becomes known.
_UNKNOWN: Final = "state = 'quarantined' AND wake IS NOT NULL AND communication IS NULL"
UNKNOWN_COST: Final = f"""
SELECT coalesce(sum(length(inbox_raw.raw) + ?), 0)
FROM inbox INDEXED BY inbox_pushed_out JOIN inbox_raw ON inbox_raw.id = inbox.id
WHERE {_UNKNOWN}"""
OLDEST_UNKNOWN: Final = f"""
SELECT inbox.id, length(inbox_raw.raw) + ?
FROM inbox INDEXED BY inbox_state JOIN inbox_raw ON inbox_raw.id = inbox.id
WHERE {_UNKNOWN} AND state <> 'applied' ORDER BY inbox.id"""
UNKNOWN_STILL: Final = f"""
SELECT length(inbox_raw.raw) + ? FROM inbox JOIN inbox_raw ON inbox_raw.id = inbox.id
WHERE inbox.id = ? AND {_UNKNOWN}"""
_BARE: Final = (
    "FROM inbox INDEXED BY inbox_parked_bare WHERE state = 'parked' AND communication IS NULL"
)
_WITH_ADDRESS: Final = (
    "FROM inbox INDEXED BY inbox_parked_addressed"
    " WHERE state = 'parked' AND communication IS NOT NULL"
)
COUNT_PARKED_BARE: Final = f"SELECT count(*) {_BARE}"
COUNT_PARKED_ADDRESSED: Final = f"SELECT count(*) {_WITH_ADDRESS}"
OLDEST_PARKED_BARE: Final = f"SELECT id {_BARE} ORDER BY id LIMIT ?"
OLDEST_PARKED_ADDRESSED: Final = f"SELECT id {_WITH_ADDRESS} ORDER BY id LIMIT ?"
PUSH_OUT: Final = "UPDATE inbox SET state = 'quarantined', reason = ?, wake = ? WHERE id = ?"
_NEVER_FAILED: Final = not_failed(RowKind.MESSAGE, as_text("inbox.id"))
FIRST_NEW: Final = f"""
SELECT at FROM inbox WHERE state = 'new' AND state <> 'applied' AND {_NEVER_FAILED}
ORDER BY id LIMIT 1"""
# What came by a time and is going to be looked at; what is set aside is not waited for.
FIRST_UNTAKEN: Final = f"""
SELECT at FROM inbox WHERE state = 'new' AND state <> 'applied'
    AND {not_set_aside(RowKind.MESSAGE, as_text("inbox.id"))} ORDER BY id LIMIT 1"""
FIRST_TAKING: Final = f"""
SELECT at FROM inbox WHERE state = 'loading' AND state <> 'applied'
    AND {not_set_aside(RowKind.PAYLOAD, as_text("inbox.id"))} ORDER BY id LIMIT 1"""
FIRST_PARKED: Final = f"""
SELECT wake FROM inbox INDEXED BY inbox_parked
WHERE state = 'parked' AND wake IS NOT NULL AND {_NEVER_FAILED} ORDER BY wake LIMIT 1"""

# ---------------------------------------------------------------- events out, audit, messages

INSERT_PUBLICATION: Final = Many(
    "INSERT INTO publication (id, at, form, body)",
    4,
    " ON CONFLICT (id) DO NOTHING",
    told=True,
)
_OF_SINK: Final = free(RowKind.PUBLICATION, f"{as_text('publication.seq')} || '/' || :sink")
OUTBOX: Final = f"""
SELECT seq, at, form, body FROM publication
WHERE seq > max(:after, coalesce((SELECT seq FROM sink_cursor WHERE sink = :sink), 0))
    AND {_OF_SINK}
ORDER BY seq LIMIT :limit"""
PUBLICATIONS: Final = """
SELECT seq, at, form, body FROM publication
WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"""
DELIVERED: Final = """
INSERT INTO sink_cursor (sink, seq) VALUES (?, ?)
ON CONFLICT (sink) DO UPDATE SET seq = max(sink_cursor.seq, excluded.seq)"""

INSERT_AUDIT: Final = Many("INSERT INTO audit (seq, at, subject, form, previous, note, digest)", 7)
AUDIT_HEAD: Final = "SELECT seq, digest FROM audit ORDER BY seq DESC LIMIT 1"
_SUBJECT: Final = """
CASE typeof(subject) WHEN 'text' THEN subject ELSE
    coalesce((SELECT id FROM command WHERE number = audit.subject), '') END"""
_AUDIT: Final = f"""
SELECT seq, at, {_SUBJECT}, form, skeleton.text, note, digest
FROM audit LEFT JOIN skeleton ON skeleton.number = audit.form """
AUDIT_ALL: Final = _AUDIT + "WHERE seq > ? ORDER BY seq LIMIT ?"
# From the command back, entry by entry; then what was noted without it.
_LINKED: Final = """
WITH RECURSIVE linked (seq) AS (
    SELECT noted FROM command WHERE id = :subject
    UNION ALL SELECT previous FROM linked JOIN audit ON audit.seq = linked.seq
    WHERE previous < audit.seq AND previous > :after
)"""
_NUMBER_OF_SUBJECT: Final = "UNION ALL SELECT number FROM command WHERE id = :subject"
_ABOUT: Final = f"""
previous IS NULL
    AND subject IN (SELECT :subject {_NUMBER_OF_SUBJECT}
                    UNION ALL SELECT id FROM communication WHERE command = :subject)"""
AUDIT_OF_SUBJECT: Final = f"""{_LINKED}{_AUDIT}
WHERE seq IN (SELECT seq FROM linked UNION ALL SELECT seq FROM audit WHERE {_ABOUT})
  AND seq > :after
ORDER BY seq LIMIT :limit"""
CHANGED_SINCE: Final = f"""{_LINKED}
SELECT EXISTS (
    SELECT 1 FROM linked JOIN audit ON audit.seq = linked.seq WHERE at >= :updated
    UNION ALL SELECT 1 FROM audit WHERE {_ABOUT} AND at >= :updated)"""
# Each is reached once: from the entry behind it, or from its command.
BROKEN_LINK: Final = """
SELECT seq FROM audit AS entry WHERE previous > 0 AND NOT EXISTS (
    SELECT 1 FROM audit AS before WHERE before.seq = entry.previous AND before.seq < entry.seq
        AND before.subject = entry.subject AND before.previous IS NOT NULL) LIMIT 1"""
LINKED: Final = "SELECT count(*), sum(seq) FROM audit WHERE previous IS NOT NULL"
LINKS: Final = """
SELECT count(*), sum(seq) FROM (
    SELECT previous AS seq FROM audit WHERE previous > 0
    UNION ALL SELECT noted FROM command WHERE noted > 0)"""
AUDIT_DIGEST: Final = "SELECT digest FROM audit WHERE seq = ?"
AUDIT_WALK: Final = _AUDIT + "ORDER BY seq"

INSERT_MESSAGE: Final = Many(
    "INSERT INTO message (communication, at, took, operation, status, request, form, body)", 8
)
# An expression (+) is compared as it is: a column of text would make texts of numbers.
_NAMED: Final = """(
    SELECT id, +id AS name FROM communication WHERE command = :command
    UNION ALL SELECT id, +number FROM communication WHERE command = :command)"""
MESSAGES: Final = f"""
SELECT named.id, at, took, operation, status, request, form, text, body
FROM {_NAMED} AS named JOIN message ON message.communication = named.name
     LEFT JOIN skeleton ON skeleton.number = form
UNION ALL
SELECT named.id, at, 0, {_OPERATION}, 0, NULL, form, text, coalesce(inbox.raw, inbox_raw.raw)
FROM {_NAMED} AS named JOIN inbox ON inbox.communication = named.name
     LEFT JOIN inbox_raw ON inbox_raw.id = inbox.id
     LEFT JOIN skeleton ON skeleton.number = form
UNION ALL
SELECT by_token.id, at, 0, {_OPERATION}, 0, NULL, form, text, coalesce(inbox.raw, inbox_raw.raw)
FROM inbox LEFT JOIN inbox_raw ON inbox_raw.id = inbox.id
     LEFT JOIN skeleton ON skeleton.number = form
     JOIN communication AS by_token ON by_token.token IS NOT NULL AND by_token.token = inbox.token
WHERE inbox.command = :command AND communication IS NULL
ORDER BY at, request DESC"""

# ---------------------------------------------------------------- measurements

INSERT_MEASUREMENT: Final = Many(
    "INSERT INTO measurement (id, device, ends_at, body)", 4, " ON CONFLICT DO NOTHING"
)
MEASUREMENTS: Final = """
SELECT body FROM measurement WHERE device = ? ORDER BY ends_at DESC, id DESC LIMIT ?"""

# ---------------------------------------------------------------- registry

_OF_ID: Final = " (id, body) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
UPSERT_DEVICE: Final = f"INSERT INTO device{_OF_ID}"
LEAVE_GROUPS: Final = "DELETE FROM device_group WHERE device = ?"
JOIN_GROUP: Final = "INSERT INTO device_group (name, device) VALUES (?, ?)"
DEVICES_LIKE: Final = "SELECT id FROM device WHERE id = ? COLLATE NOCASE LIMIT 1"
SERVICE_POINTS_LIKE: Final = """
SELECT id FROM service_point WHERE id = ? COLLATE NOCASE LIMIT 1"""
GROUP_KNOWN: Final = "SELECT 1 FROM device_group WHERE name = ? LIMIT 1"
GROUPS_LIKE: Final = "SELECT name FROM device_group WHERE name = ? COLLATE NOCASE LIMIT 1"
UPSERT_SERVICE_POINT: Final = f"INSERT INTO service_point{_OF_ID}"
INSTALL_GUARD: Final = """
SELECT version FROM install_event WHERE device = ? AND service_point = ? AND installed_at = ?"""
INSTALL_OPEN: Final = "SELECT 1 FROM install_event WHERE device = ? AND removed = 0"
PUT_INSTALL: Final = """
INSERT INTO install_event (device, service_point, installed_at, removed, version, body)
VALUES (:device, :service_point, :installed_at, :removed, :version, :body)
ON CONFLICT (device, service_point, installed_at)
DO UPDATE SET removed = excluded.removed, version = excluded.version, body = excluded.body"""
LEAVE_ENDPOINT: Final = "DELETE FROM endpoint_device WHERE device = ?"
TAKE_ENDPOINT: Final = "INSERT INTO endpoint_device (device, key) VALUES (?, ?)"
DEVICES_AT: Final = "SELECT device FROM endpoint_device WHERE key = ? ORDER BY device"
# With the install event that is open, else the one that ended last.
_INSTALLED: Final = """LEFT JOIN install_event AS installed
    ON (installed.device, installed.removed, installed.installed_at, installed.service_point) = (
        SELECT device, removed, installed_at, service_point FROM install_event AS each
        WHERE each.device = device.id
        ORDER BY removed, installed_at DESC, service_point DESC LIMIT 1)"""
_VIEWS: Final = f"""
SELECT json_each.value, device.body, installed.body, service_point.body
FROM {{tables}} {_INSTALLED}
LEFT JOIN service_point ON service_point.id = installed.service_point
ORDER BY {{order}}"""
VIEWS: Final = _VIEWS.format(
    tables="json_each(?) CROSS JOIN device ON device.id = json_each.value",
    order="json_each.key",
)
VIEWS_AT: Final = _VIEWS.format(
    tables="""json_each(?)
    CROSS JOIN endpoint_device ON endpoint_device.key = json_each.value
    CROSS JOIN device ON device.id = endpoint_device.device""",
    order="json_each.key, device.id",
)
# People and the start ask for it, the engine's loops never.
SHARED_ENDPOINTS: Final = """
SELECT key FROM endpoint_device GROUP BY key HAVING count(*) > 1 ORDER BY key"""
INSTALLS_OF: Final = "SELECT body FROM install_event WHERE device = ?"
OPEN_AT: Final = "SELECT body FROM install_event WHERE service_point = ? AND removed = 0"
DEVICE: Final = "SELECT body FROM device WHERE id = ?"
SERVICE_POINT: Final = "SELECT body FROM service_point WHERE id = ?"
MEMBERS: Final = "SELECT device FROM device_group WHERE name = ? ORDER BY device"
DEVICES_AFTER: Final = "SELECT id FROM device WHERE id > ? ORDER BY id LIMIT ?"

# ---------------------------------------------------------------- ledger

TALLY: Final = "SELECT what, key, rows FROM tally WHERE rows <> 0 ORDER BY what, key"
# The same by looking at all rows.
COUNT: Final = """
SELECT 'callback', matched, count(*) FROM inbox WHERE matched IS NOT NULL GROUP BY 2
UNION ALL SELECT 'command', state, count(*) FROM command GROUP BY 2
UNION ALL SELECT 'completion', kind || ':' || state, count(*) FROM completion GROUP BY 2
UNION ALL SELECT 'inbox', state, count(*) FROM inbox GROUP BY 2
UNION ALL SELECT 'publication', '', count(*) FROM publication HAVING count(*) > 0
UNION ALL SELECT 'send', state, count(*) FROM communication WHERE sent = 1 GROUP BY 2
ORDER BY 1, 2"""
