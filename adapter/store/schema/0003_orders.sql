-- Service orders. A case is one row of service_order with its children and requests; `version`
-- guards all of them.

CREATE TABLE service_order (
    id TEXT PRIMARY KEY,
    requester TEXT NOT NULL,
    reference TEXT NOT NULL,
    content TEXT NOT NULL,
    service_point TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    open INTEGER NOT NULL,
    holds INTEGER NOT NULL,
    todo INTEGER,
    since INTEGER,
    blocked_by TEXT,
    wake INTEGER,
    version INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX order_reference ON service_order (requester, reference);
-- one order at a time keeps a service point for itself
CREATE UNIQUE INDEX order_holds ON service_order (service_point) WHERE holds = 1;
CREATE INDEX order_point ON service_order (service_point, id);
CREATE INDEX order_due ON service_order (wake, id) WHERE wake IS NOT NULL;
CREATE INDEX order_state ON service_order (state, id);
CREATE INDEX order_kind ON service_order (kind, id);
CREATE INDEX order_blocked ON service_order (blocked_by) WHERE blocked_by IS NOT NULL;
CREATE INDEX order_todo ON service_order (todo DESC, since, id) WHERE todo IS NOT NULL;

CREATE TABLE order_child (
    id TEXT PRIMARY KEY,
    of_order TEXT NOT NULL,
    number INTEGER NOT NULL,
    service_point TEXT NOT NULL,
    device TEXT,
    task TEXT NOT NULL,
    open INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX child_order ON order_child (of_order, number);
CREATE INDEX child_point ON order_child (service_point, id) WHERE open = 1;
CREATE INDEX child_device ON order_child (device, of_order) WHERE open = 1;

CREATE TABLE order_request (
    id TEXT PRIMARY KEY,
    of_order TEXT NOT NULL,
    requester TEXT NOT NULL,
    reference TEXT NOT NULL,
    todo INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_order ON order_request (of_order, id);
CREATE UNIQUE INDEX request_reference ON order_request (requester, reference)
    WHERE reference <> '';
CREATE INDEX request_todo ON order_request (id) WHERE todo = 1;

CREATE TABLE order_pass (
    of_order TEXT NOT NULL,
    number INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (of_order, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE order_reply (
    id TEXT PRIMARY KEY,
    of_order TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    due INTEGER,
    alarm INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX reply_order ON order_reply (of_order, number);
CREATE INDEX reply_due ON order_reply (due, id) WHERE due IS NOT NULL;
CREATE INDEX reply_alarm ON order_reply (id) WHERE alarm = 1;

CREATE TABLE field_message (
    id TEXT PRIMARY KEY,
    activity TEXT NOT NULL,
    number INTEGER NOT NULL,
    state TEXT NOT NULL,
    due INTEGER,
    attempts INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX field_message_activity ON field_message (activity, number);
CREATE INDEX field_message_due ON field_message (due, id) WHERE due IS NOT NULL;

CREATE TABLE field_report (
    id TEXT PRIMARY KEY,
    activity TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE crew_measurement (
    id TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX crew_measurement_device ON crew_measurement (device, at, id);

CREATE INDEX install_point ON install_event (service_point, removed, installed_at);
