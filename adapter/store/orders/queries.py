"""Every SQL statement about service orders. A test looks at the plans of those that run often."""

from typing import Final

from adapter.engine.upkeep.set_aside import RowKind
from adapter.store.upkeep.free_rows import free

# ---------------------------------------------------------------- cases

ORDER_OF_REFERENCE: Final = """
SELECT id, content FROM service_order WHERE requester = ? AND reference = ?"""
INSERT_ORDER: Final = """
INSERT INTO service_order (id, requester, reference, content, service_point, kind, state, open,
    holds, todo, since, blocked_by, awaits, wake, version, body)
VALUES (:id, :requester, :reference, :content, :service_point, :kind, :state, :open,
    :holds, :todo, :since, :blocked_by, :awaits, :wake, 1, :body)"""
UPDATE_ORDER: Final = """
UPDATE service_order SET state = :state, open = :open, holds = :holds, todo = :todo,
    since = :since, blocked_by = :blocked_by, awaits = :awaits, wake = :wake, version = :version,
    body = :body
WHERE id = :id"""
ORDER_VERSION: Final = "SELECT version FROM service_order WHERE id = ?"
ORDER: Final = "SELECT version, wake, blocked_by FROM service_order WHERE id = ?"
ORDER_BODY: Final = "SELECT body FROM service_order WHERE id = ?"
HOLDER: Final = "SELECT id FROM service_order WHERE service_point = ? AND holds = 1"
# Three of these move the version: who decides on facts of before the news has to look again.
YIELD_POINT: Final = """
UPDATE service_order SET holds = 0, wake = ?, version = version + 1 WHERE id = ? AND open = 1"""
WAKE_BLOCKED: Final = """
UPDATE service_order SET wake = ?, version = version + 1
WHERE blocked_by IS NOT NULL AND blocked_by = ?"""
WAKE_UNBLOCKED: Final = """
UPDATE service_order SET wake = :at WHERE id = :id AND NOT EXISTS (
    SELECT 1 FROM service_order AS other WHERE other.id = :blocked_by AND other.open = 1)"""
# The same for a command: what it held alone is free, or another command's.
WAKE_AWAITING: Final = """
UPDATE service_order SET wake = ?, version = version + 1
WHERE awaits IS NOT NULL AND awaits IN (SELECT value FROM json_each(?))"""
WAKE_AWAITING_ONE: Final = """
UPDATE service_order SET wake = ?, version = version + 1
WHERE awaits IS NOT NULL AND awaits = ?"""
WAKE_UNAWAITED: Final = """
UPDATE service_order SET wake = :at WHERE id = :id AND NOT EXISTS (
    SELECT 1 FROM lane WHERE command = (SELECT number FROM command WHERE id = :awaits))"""
WAKE: Final = """
UPDATE service_order SET wake = min(coalesce(wake, :at), :at), version = version + 1
WHERE id = :id AND open = 1"""
WAKE_TO_VERSION: Final = f"{WAKE} RETURNING version"
DUE: Final = f"""
SELECT id FROM service_order WHERE wake IS NOT NULL AND wake <= :now
    AND {free(RowKind.ORDER, "service_order.id")} ORDER BY wake, id LIMIT :limit"""
NEXT_WAKE: Final = """
SELECT min(at) FROM (SELECT min(wake) AS at FROM service_order UNION ALL
    SELECT min(due) FROM order_reply UNION ALL SELECT min(due) FROM field_message)"""
PUT_OFF: Final = "UPDATE service_order SET wake = :until WHERE id = :id AND wake <= :now"

_LISTED: Final = """
SELECT id, kind, state, service_point, open, requester, reference, body FROM service_order """
LIST_ALL: Final = _LISTED + "WHERE id < :before ORDER BY id DESC"
LIST_KIND: Final = _LISTED + "WHERE kind = :kind AND id < :before ORDER BY id DESC"
LIST_STATE: Final = _LISTED + "WHERE state = :state AND id < :before ORDER BY id DESC"
LIST_POINT: Final = (
    _LISTED + "WHERE service_point = :service_point AND id < :before ORDER BY id DESC"
)
TODO_ORDERS: Final = """
SELECT todo, since, body FROM service_order WHERE todo IS NOT NULL AND open = 1
ORDER BY todo DESC, since, id LIMIT ?"""
# Reconnections that were paid for and given up: as long as supply is off and no order restores it.
TODO_GIVEN_UP: Final = """
SELECT todo, since, body FROM service_order AS given_up WHERE todo IS NOT NULL AND open = 0
AND NOT EXISTS (SELECT 1 FROM service_order AS other
    WHERE other.service_point = given_up.service_point AND other.open = 1
    AND other.kind IN ('enable', 'reconnect'))
ORDER BY todo DESC, since, id LIMIT ?"""
SUPPLY_RESTORED: Final = """
UPDATE service_order SET todo = NULL, since = NULL
WHERE service_point = ? AND open = 0 AND todo IS NOT NULL"""

# ---------------------------------------------------------------- what belongs to a case

UPSERT_CHILD: Final = """
INSERT INTO order_child (id, of_order, number, service_point, device, task, open, body)
VALUES (:id, :of_order, :number, :service_point, :device, :task, :open, :body)
ON CONFLICT (id) DO UPDATE SET open = excluded.open, body = excluded.body"""
CHILDREN: Final = "SELECT body FROM order_child WHERE of_order = ? ORDER BY number"
CHILD: Final = "SELECT body FROM order_child WHERE id = ?"
ORDER_OF_CHILD: Final = "SELECT of_order FROM order_child WHERE id = ?"
OPEN_AT_POINT: Final = """
SELECT body FROM order_child
WHERE open = 1 AND service_point = ? AND of_order <> ? AND task <> '' ORDER BY id"""
CLOSED_AT_POINT: Final = """
SELECT body FROM order_child
WHERE open = 0 AND service_point = ? AND of_order <> ? AND task <> '' ORDER BY id DESC LIMIT 20"""
OTHER_WORK: Final = """
SELECT id, task, created, ended FROM other_work
WHERE service_point = ? AND (ended IS NULL OR done = 1) ORDER BY created, id"""
UPSERT_OTHER_WORK: Final = """
INSERT INTO other_work (id, service_point, task, created, ended, done) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET service_point = excluded.service_point, task = excluded.task,
    created = excluded.created, ended = excluded.ended, done = excluded.done"""
OPEN_ON_DEVICE: Final = """
SELECT DISTINCT of_order FROM order_child
WHERE open = 1 AND device IN (SELECT value FROM json_each(?)) ORDER BY of_order"""
OPEN_ON_NAMED: Final = """
SELECT DISTINCT of_order FROM order_child WHERE open = 1 AND device IN (
    SELECT id FROM device WHERE endpoint IN (SELECT value FROM json_each(:names))
    UNION ALL SELECT id FROM device WHERE serial IN (SELECT value FROM json_each(:names)))
ORDER BY of_order"""
UPSERT_REQUEST: Final = """
INSERT INTO order_request (id, of_order, requester, reference, todo, body)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET todo = excluded.todo, body = excluded.body"""
REQUESTS: Final = "SELECT body FROM order_request WHERE of_order = ? ORDER BY id"
REQUEST_OF_REFERENCE: Final = """
SELECT body FROM order_request WHERE reference <> '' AND requester = ? AND reference = ?"""
REFERENCE_HOLDER: Final = """
SELECT id FROM order_request WHERE reference <> '' AND requester = ? AND reference = ?"""
TODO_REQUESTS: Final = "SELECT body FROM order_request WHERE todo = 1 ORDER BY id LIMIT ?"
INSERT_PASS: Final = """
INSERT INTO order_pass (of_order, number, body) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"""
PASSES: Final = "SELECT body FROM order_pass WHERE of_order = ? ORDER BY number"
OPEN_ORDERS: Final = """
SELECT id, kind, state FROM service_order
WHERE service_point = ? AND open = 1 AND id <> ? ORDER BY id"""

# ---------------------------------------------------------------- replies

INSERT_REPLY: Final = """
INSERT INTO order_reply (id, of_order, number, state, due, alarm, body)
VALUES (:id, :of_order,
    (SELECT coalesce(max(number), 0) + 1 FROM order_reply WHERE of_order = :of_order),
    :state, :due, :alarm, :body)
ON CONFLICT (id) DO NOTHING"""
REPLY: Final = "SELECT body FROM order_reply WHERE id = ?"
UPDATE_REPLY: Final = """
UPDATE order_reply SET state = :state, due = :due, alarm = :alarm, body = :body WHERE id = :id"""
REPLIES: Final = "SELECT body FROM order_reply WHERE of_order = ? ORDER BY number"
REPLIES_DUE: Final = f"""
SELECT id, body FROM order_reply AS mine WHERE due IS NOT NULL AND due <= :now
    AND {free(RowKind.REPLY, "mine.id")}
    AND NOT EXISTS (SELECT 1 FROM order_reply AS before WHERE before.of_order = mine.of_order
        AND before.number < mine.number AND before.state = 'queued')
ORDER BY due, id LIMIT :limit"""
DROP_REPLY: Final = "UPDATE order_reply SET state = 'given_up', due = NULL WHERE id = ?"
TODO_REPLIES: Final = "SELECT body FROM order_reply WHERE alarm = 1 ORDER BY id LIMIT ?"

# ---------------------------------------------------------------- field work

INSERT_MESSAGE: Final = """
INSERT INTO field_message (id, activity, number, state, due, attempts, body)
VALUES (?, ?, ?, 'queued', ?, 0, ?) ON CONFLICT (id) DO NOTHING"""
MESSAGES_DUE: Final = f"""
SELECT id, attempts, body FROM field_message AS mine WHERE due IS NOT NULL AND due <= :now
    AND {free(RowKind.FIELD_MESSAGE, "mine.id")}
    AND NOT EXISTS (SELECT 1 FROM field_message AS before WHERE before.activity = mine.activity
        AND before.number < mine.number AND before.state IN ('queued', 'leaving'))
ORDER BY due, id LIMIT :limit"""
LEAVE: Final = "UPDATE field_message SET state = 'leaving', due = ? WHERE id = ?"
SETTLE_MESSAGE: Final = """
UPDATE field_message SET state = :state, due = :due, attempts = attempts + :tried
WHERE id = :id AND state = 'leaving'"""
LEAVING: Final = "SELECT 1 FROM field_message WHERE activity = ? AND state = 'leaving'"
DROP_MESSAGES: Final = """
UPDATE field_message SET state = 'dropped', due = NULL WHERE activity = ? AND state = 'queued'"""
SENT_OF_OPEN: Final = """
SELECT field_message.body FROM order_child
JOIN field_message ON field_message.activity = order_child.id
WHERE order_child.open = 1 AND field_message.state = 'sent'
ORDER BY field_message.activity, field_message.number"""
REPORTED_OF_OPEN: Final = """
SELECT field_report.body FROM field_report
JOIN order_child ON order_child.id = field_report.activity
WHERE order_child.open = 1 ORDER BY field_report.activity, field_report.at, field_report.id"""
REPORT_KNOWN: Final = "SELECT 1 FROM field_report WHERE id = ?"
INSERT_REPORT: Final = "INSERT INTO field_report (id, activity, at, body) VALUES (?, ?, ?, ?)"
INSERT_CREW_MEASUREMENT: Final = """
INSERT INTO crew_measurement (id, device, at, body) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"""
ENTER_MEASUREMENT: Final = """
INSERT INTO crew_measurement (id, device, at, body) VALUES (?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET body = excluded.body"""
CREW_MEASUREMENTS: Final = """
SELECT body FROM crew_measurement WHERE device = ? AND at >= ? AND at < ? ORDER BY at, id"""

# ---------------------------------------------------------------- the service point

INSTALLS_AT_POINT: Final = """
SELECT install_event.body, device.body FROM install_event JOIN device
    ON device.id = install_event.device
WHERE service_point = ? AND install_event.removed = ? ORDER BY installed_at DESC LIMIT ?"""
DELETE_INSTALL: Final = """
DELETE FROM install_event WHERE device = ? AND service_point = ? AND installed_at = ?"""
