-- Times are microseconds since 1970 (UTC). Bodies are JSON of the values they are named after; an
-- activity and the body of a communication, which every step writes again, are MessagePack.
-- A partial index serves a query only if the query repeats the index's own term.

-- ---------------------------------------------------------------- commands

-- noted: the last entry of the audit that was made with it, 0: none; each tells the one before
CREATE TABLE command (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    wake INTEGER,
    version INTEGER NOT NULL,
    noted INTEGER NOT NULL,
    activity BLOB NOT NULL
) STRICT;
CREATE INDEX command_due ON command (wake, id) WHERE wake IS NOT NULL;
CREATE UNIQUE INDEX command_key ON command (key) WHERE key IS NOT NULL;
-- most are completed: those are found on the way
CREATE INDEX command_state ON command (state, id) WHERE state <> 'completed';
CREATE INDEX command_kind ON command (kind, id);

-- What never changes, apart: an update writes its whole row again, and thousands of meters with it.
-- content: a text, or the bytes that it is the hexadecimal digits of; targets: [device, endpoint]
CREATE TABLE asked (
    number INTEGER PRIMARY KEY,
    content ANY NOT NULL,
    request BLOB NOT NULL,
    targets BLOB NOT NULL
) STRICT;

CREATE TABLE target (
    device TEXT NOT NULL,
    command TEXT NOT NULL,
    PRIMARY KEY (device, command)
) STRICT, WITHOUT ROWID;

-- due: when the communication's work may be claimed, moved on by leases; wake: as the communication has it
CREATE TABLE communication (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    command TEXT NOT NULL,
    position INTEGER NOT NULL,
    operation TEXT NOT NULL,
    priority INTEGER NOT NULL,
    work TEXT NOT NULL,
    state TEXT NOT NULL,
    wake INTEGER,
    due INTEGER,
    token TEXT,
    sent INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX communication_of_command ON communication (command, position);
CREATE UNIQUE INDEX communication_token ON communication (token) WHERE token IS NOT NULL;
CREATE INDEX communication_claim ON communication (work, priority, operation, due, id) WHERE due IS NOT NULL;
CREATE INDEX communication_sending ON communication (id) WHERE state = 'sending';

-- only where a communication has many; few stay in its body
CREATE TABLE communication_endpoints (
    id TEXT PRIMARY KEY,
    endpoints BLOB NOT NULL
) STRICT;

CREATE TABLE completion (
    id TEXT PRIMARY KEY,
    command TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outcome (
    command TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (command, endpoint)
) STRICT, WITHOUT ROWID;

-- command: its number
CREATE TABLE lane (
    name TEXT PRIMARY KEY,
    command INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX lane_command ON lane (command);

-- Of a row that is applied: operation is 0 for StatusChanged, communication is its number where that
-- was at hand, else its id; command and token are NULL where they are those of the communication.
CREATE TABLE inbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    operation ANY NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL,
    communication ANY,
    remote TEXT NOT NULL,
    reason TEXT NOT NULL,
    command TEXT,
    token TEXT,
    wake INTEGER,
    hash BLOB NOT NULL,
    refused INTEGER NOT NULL,
    form INTEGER NOT NULL,
    raw BLOB,
    matched TEXT GENERATED ALWAYS AS (
        CASE WHEN operation NOT IN (0, 'RequestStatusChangedService.StatusChanged') OR state = 'new'
                  OR refused THEN NULL
             WHEN communication IS NOT NULL THEN 'addressed'
             WHEN state IN ('applied', 'ignored') THEN 'by_token'
             ELSE 'unmatched' END) VIRTUAL
) STRICT;
CREATE INDEX inbox_parked ON inbox (wake, id) WHERE state = 'parked';
CREATE INDEX inbox_token ON inbox (token) WHERE state = 'parked';
CREATE INDEX inbox_parked_bare ON inbox (id) WHERE state = 'parked' AND communication IS NULL;
CREATE INDEX inbox_parked_addressed ON inbox (id)
    WHERE state = 'parked' AND communication IS NOT NULL;
-- those that gave way when too many were parked
CREATE INDEX inbox_pushed_out ON inbox (token) WHERE state = 'quarantined' AND wake IS NOT NULL;
-- most are applied: those are found on the way
CREATE INDEX inbox_state ON inbox (state, id) WHERE state <> 'applied';
CREATE INDEX inbox_addressed ON inbox (state, id)
    WHERE state = 'new' AND communication IS NOT NULL;
CREATE INDEX inbox_unaddressed ON inbox (state, id)
    WHERE state = 'new' AND communication IS NULL;

CREATE INDEX inbox_communication ON inbox (communication) WHERE communication IS NOT NULL;
CREATE INDEX inbox_command ON inbox (command) WHERE command IS NOT NULL AND communication IS NULL;

-- Apart from its row, so that moving the row does not rewrite the message; what was judged as it
-- came never moves, and has its message (of this form, see compression.py) in the row.
CREATE TABLE inbox_raw (
    id INTEGER PRIMARY KEY,
    raw BLOB NOT NULL
) STRICT;

CREATE TABLE inbox_spool (
    id INTEGER PRIMARY KEY,
    file TEXT NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

-- of those that were refused when they came: who sent them (known: with the right credentials),
-- and how often the same came again; bytes is what the row costs
CREATE TABLE rejected (
    id INTEGER PRIMARY KEY,
    known INTEGER NOT NULL,
    remote TEXT NOT NULL,
    cause TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    times INTEGER NOT NULL,
    last_at INTEGER NOT NULL
) STRICT;
CREATE INDEX rejected_again ON rejected (remote, cause) WHERE known = 0;
CREATE INDEX rejected_oldest ON rejected (known, id);

-- What texts of a form have in common; NUL where each has a value of its own (see skeletons.py).
CREATE TABLE skeleton (
    number INTEGER PRIMARY KEY,
    text BLOB NOT NULL
) STRICT;

-- What the gateway asked and was answered, a row for each call: the first `request` bytes of the
-- body are what was asked. Callbacks are in the inbox. communication: its number where that was at
-- hand, else its id.
CREATE TABLE message (
    id INTEGER PRIMARY KEY,
    communication ANY NOT NULL,
    at INTEGER NOT NULL,
    took INTEGER NOT NULL,
    operation TEXT NOT NULL,
    status INTEGER NOT NULL,
    request INTEGER NOT NULL,
    form INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX message_communication ON message (communication, id);

CREATE TABLE publication (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    at INTEGER NOT NULL,
    form INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE sink_cursor (
    sink TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE debit (
    id INTEGER PRIMARY KEY,
    bucket TEXT NOT NULL,
    at INTEGER NOT NULL,
    command TEXT
) STRICT;
CREATE INDEX debit_window ON debit (bucket, at);

CREATE TABLE measurement (
    id TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    ends_at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX measurement_device ON measurement (device, ends_at, id);

-- why switch orders are held; a row goes when the reason does
CREATE TABLE switch_hold (
    reason TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- registry

-- the head end's identifiers lead to devices, whose bodies are JSON
CREATE TABLE device (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL,
    endpoint TEXT GENERATED ALWAYS AS
        (CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ->> '$.endpoint' END)
        VIRTUAL,
    serial TEXT GENERATED ALWAYS AS
        (CASE WHEN json_valid(CAST(body AS TEXT)) THEN CAST(body AS TEXT) ->> '$.serial' END)
        VIRTUAL
) STRICT;
CREATE INDEX device_endpoint ON device (endpoint) WHERE endpoint IS NOT NULL;
CREATE INDEX device_serial ON device (serial) WHERE serial IS NOT NULL;

CREATE TABLE device_group (
    name TEXT NOT NULL,
    device TEXT NOT NULL,
    PRIMARY KEY (name, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_group_device ON device_group (device);

CREATE TABLE service_point (
    id TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE install_event (
    device TEXT NOT NULL,
    service_point TEXT NOT NULL,
    installed_at INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (device, removed, installed_at, service_point)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX install_key ON install_event (device, service_point, installed_at);
CREATE INDEX install_point ON install_event (service_point, removed, installed_at);

-- which devices name which endpoint, whatever its spelling (the key is the program's)
CREATE TABLE endpoint_device (
    device TEXT PRIMARY KEY,
    key TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoint_device_key ON endpoint_device (key);

-- ---------------------------------------------------------------- readings
-- Payloads that were taken in; the measurements that came of them have a file of their own.
-- Rows of a load are seen only once the load is 'loaded': one commit shows all of a payload.

-- inbox is NULL where a file was given; digest is the SHA-256 of the body
CREATE TABLE payload (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    inbox INTEGER UNIQUE,
    source TEXT NOT NULL,
    operation TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    position INTEGER,
    at INTEGER NOT NULL,
    finished INTEGER,
    bytes INTEGER NOT NULL,
    digest BLOB,
    spool TEXT NOT NULL,
    counts BLOB NOT NULL,
    raw_kept INTEGER NOT NULL
) STRICT;
CREATE INDEX payload_state ON payload (state, id);
CREATE UNIQUE INDEX payload_file ON payload (digest) WHERE inbox IS NULL;

-- one attempt to take in a payload, or to process its error records again
CREATE TABLE load (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    payload INTEGER NOT NULL,
    state TEXT NOT NULL,
    started INTEGER NOT NULL
) STRICT;
CREATE INDEX load_hidden ON load (id) WHERE state <> 'loaded';
CREATE INDEX load_payload ON load (payload, id);

-- what gave no measurement; body is the seed (JSON), or the XML of a part that was not understood
CREATE TABLE intake_error (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    load INTEGER NOT NULL,
    payload INTEGER NOT NULL,
    part INTEGER NOT NULL,
    position INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    body BLOB NOT NULL,
    state TEXT NOT NULL
) STRICT;
CREATE INDEX intake_error_state ON intake_error (state, id);
CREATE INDEX intake_error_load ON intake_error (load);
-- bodies are kept while a part of them waits to be mended
CREATE INDEX intake_error_bad_part ON intake_error (payload)
    WHERE reason = 'bad_part' AND state = 'open';

-- blocks of a device's data: which of `total` have come
CREATE TABLE block_seen (
    load INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    total INTEGER NOT NULL,
    block INTEGER NOT NULL,
    starts INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    PRIMARY KEY (load, endpoint, total, block, starts)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- events
-- Device events, the spells that pairs of them bound, and what was not published in a storm.

-- events and exceptions as they arrived, in the order of arrival; body is the seed (JSON)
-- What became of each arrival: '' not looked at yet, new, repeated, matched (told before by the other
-- callback, under another sequence number or none), unknown; event is the device event's number.
CREATE TABLE arrived_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    load INTEGER NOT NULL,
    endpoint TEXT NOT NULL,
    at INTEGER NOT NULL,
    exception INTEGER NOT NULL,
    name TEXT NOT NULL,
    body BLOB NOT NULL,
    result TEXT NOT NULL DEFAULT '',
    event INTEGER
) STRICT;
CREATE INDEX arrived_event_load ON arrived_event (load);
CREATE INDEX arrived_event_unknown ON arrived_event (endpoint, at) WHERE result = 'unknown';

-- sequence is -1 where the head end gave none; body is the event (JSON)
-- exception: it was told as one first; other_sequence: the number (-1: none) under which the other
-- callback told it, NULL while it has not
-- taken: when the gateway took the event, from which its age is counted
CREATE TABLE device_event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    device TEXT,
    category TEXT NOT NULL,
    pair TEXT NOT NULL,
    last INTEGER NOT NULL,
    published INTEGER NOT NULL,
    body BLOB NOT NULL,
    exception INTEGER NOT NULL DEFAULT 0,
    other_sequence INTEGER,
    taken INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX device_event_key ON device_event (endpoint, name, at, sequence);
CREATE INDEX device_event_pair ON device_event (endpoint, pair, at) WHERE pair <> '';
CREATE INDEX device_event_device ON device_event (device, id);
CREATE INDEX device_event_name ON device_event (name, id);

CREATE TABLE device_spell (
    endpoint TEXT NOT NULL,
    pair TEXT NOT NULL,
    started INTEGER NOT NULL,
    ended INTEGER,
    device TEXT,
    PRIMARY KEY (endpoint, pair, started)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_spell_open ON device_spell (pair, started) WHERE ended IS NULL;
CREATE INDEX device_spell_ended ON device_spell (pair, ended) WHERE ended IS NOT NULL;

-- events whose names no table knew; body is the seed (JSON)
CREATE TABLE event_error (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint TEXT NOT NULL,
    name TEXT NOT NULL,
    at INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    state TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX event_error_key ON event_error (endpoint, name, at, sequence);
CREATE INDEX event_error_state ON event_error (state, id);

-- what was published and what was left to the summary, by window; counts is name -> number of the
-- latter (JSON)
CREATE TABLE event_window (
    bucket TEXT NOT NULL,
    started INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    published INTEGER NOT NULL,
    in_summary INTEGER NOT NULL,
    counts BLOB NOT NULL,
    summed_up INTEGER NOT NULL,
    PRIMARY KEY (bucket, started)
) STRICT, WITHOUT ROWID;
CREATE INDEX event_window_open ON event_window (ends) WHERE summed_up = 0;

-- how far the arrived events have been looked at
CREATE TABLE event_cursor (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    load INTEGER NOT NULL,
    arrived INTEGER NOT NULL
) STRICT;
INSERT INTO event_cursor VALUES (1, 0, 0);

-- ---------------------------------------------------------------- orders
-- A service order is one row of service_order with its children and requests; its `version`
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
    awaits TEXT,
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
-- awaits: the command whose lanes have to be free before the order is tried again
CREATE INDEX order_awaits ON service_order (awaits) WHERE awaits IS NOT NULL;
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
CREATE INDEX child_closed ON order_child (service_point, id) WHERE open = 0;

CREATE TABLE order_request (
    id TEXT PRIMARY KEY,
    of_order TEXT NOT NULL,
    requester TEXT NOT NULL,
    reference TEXT NOT NULL,
    todo INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_order ON order_request (of_order, id);
CREATE UNIQUE INDEX request_reference ON order_request (requester, reference) WHERE reference <> '';
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
CREATE INDEX field_report_activity ON field_report (activity, at, id);

-- Field work that no order of ours asked for, as the field work system tells it.
CREATE TABLE other_work (
    id TEXT PRIMARY KEY,
    service_point TEXT NOT NULL,
    task TEXT NOT NULL,
    created INTEGER NOT NULL,
    ended INTEGER,
    done INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX other_work_point ON other_work (service_point, created);

CREATE TABLE crew_measurement (
    id TEXT PRIMARY KEY,
    device TEXT NOT NULL,
    at INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX crew_measurement_device ON crew_measurement (device, at, id);

-- ---------------------------------------------------------------- schedules

-- scheduled reads that recur; body is the schedule (JSON)
CREATE TABLE read_schedule (
    id TEXT PRIMARY KEY,
    state TEXT NOT NULL,
    wake INTEGER,
    version INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX read_schedule_due ON read_schedule (wake, id) WHERE wake IS NOT NULL;

-- windows that were issued, each with its command; body is the window (JSON)
CREATE TABLE schedule_window (
    schedule TEXT NOT NULL,
    number INTEGER NOT NULL,
    command TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (schedule, number)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- subscriptions

CREATE TABLE subscription_state (
    name TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- arrivals by hour, the last of each, to know what silence is usual
CREATE TABLE arrival_hour (
    stream TEXT NOT NULL,
    hour INTEGER NOT NULL,
    arrivals INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (stream, hour)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- upkeep

-- Append-only; digest (SHA-256) covers the entry and the digest before it. A subject that is a
-- command stands as its number where that was at hand. In a note, which is JSON, ~ at the start of
-- a text stands for the subject; it is stored in the given form (0: as it is, else a skeleton's).
-- previous: of an entry that was made with its command, the one before it, 0: none; the others are
-- found by their subject.
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    subject ANY NOT NULL,
    form INTEGER NOT NULL,
    previous INTEGER,
    note BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT;
CREATE INDEX audit_subject ON audit (subject, seq) WHERE previous IS NULL;

-- Rows of any loop that failed unexpectedly. waiting: tried again at `due`; set_aside,
-- discarded: no loop looks at them, `due` is the highest number. row is the row's key, as text.
CREATE TABLE failed_row (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    row TEXT NOT NULL,
    state TEXT NOT NULL,
    error TEXT NOT NULL,
    detail TEXT NOT NULL,
    tries INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    due INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX failed_row_key ON failed_row (kind, row);
CREATE INDEX failed_row_due ON failed_row (kind, due);
CREATE INDEX failed_row_state ON failed_row (state, due);

-- how long what took, by the hour that it ended in; classes counts durations by length (JSON)
CREATE TABLE duration (
    hour INTEGER NOT NULL,
    measure TEXT NOT NULL,
    name TEXT NOT NULL,
    count INTEGER NOT NULL,
    total_s REAL NOT NULL,
    most_s REAL NOT NULL,
    classes BLOB NOT NULL,
    PRIMARY KEY (hour, measure, name)
) STRICT, WITHOUT ROWID;

-- who is at what waits for people; what waits is in no table of its own
CREATE TABLE todo_claim (
    entry TEXT PRIMARY KEY,
    by TEXT NOT NULL,
    at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many rows are in each state, for the ledger.
-- command, inbox, completion: by state; send: communications that were sent, by state; callback: by
-- how it was matched; publication: all.
-- What comes with every command (its row, communications, messages, publications) is counted by the
-- program, once a transaction (see transaction.py), all else by every statement that writes it.
CREATE TABLE tally (
    what TEXT NOT NULL,
    key TEXT NOT NULL,
    rows INTEGER NOT NULL,
    PRIMARY KEY (what, key)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER completion_new AFTER INSERT ON completion BEGIN
    INSERT INTO tally VALUES ('completion', NEW.kind || ':' || NEW.state, 1)
    ON CONFLICT (what, key) DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER completion_moved AFTER UPDATE OF state ON completion
WHEN OLD.state <> NEW.state BEGIN
    UPDATE tally SET rows = rows - 1
    WHERE what = 'completion' AND key = OLD.kind || ':' || OLD.state;
    INSERT INTO tally VALUES ('completion', NEW.kind || ':' || NEW.state, 1)
    ON CONFLICT (what, key) DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER completion_gone AFTER DELETE ON completion BEGIN
    UPDATE tally SET rows = rows - 1
    WHERE what = 'completion' AND key = OLD.kind || ':' || OLD.state;
END;

-- The row may be of the same transaction, and not counted yet.
CREATE TRIGGER inbox_moved AFTER UPDATE OF state ON inbox WHEN OLD.state <> NEW.state BEGIN
    INSERT INTO tally VALUES ('inbox', OLD.state, -1)
    ON CONFLICT (what, key) DO UPDATE SET rows = rows - 1;
    INSERT INTO tally SELECT 'callback', OLD.matched, -1 WHERE OLD.matched IS NOT NULL
    ON CONFLICT (what, key) DO UPDATE SET rows = rows - 1;
    INSERT INTO tally VALUES ('inbox', NEW.state, 1)
    ON CONFLICT (what, key) DO UPDATE SET rows = rows + 1;
    INSERT INTO tally SELECT 'callback', NEW.matched, 1 WHERE NEW.matched IS NOT NULL
    ON CONFLICT (what, key) DO UPDATE SET rows = rows + 1;
END;
CREATE TRIGGER inbox_gone AFTER DELETE ON inbox BEGIN
    INSERT INTO tally VALUES ('inbox', OLD.state, -1)
    ON CONFLICT (what, key) DO UPDATE SET rows = rows - 1;
    INSERT INTO tally SELECT 'callback', OLD.matched, -1 WHERE OLD.matched IS NOT NULL
    ON CONFLICT (what, key) DO UPDATE SET rows = rows - 1;
END;

CREATE TRIGGER publication_gone AFTER DELETE ON publication BEGIN
    INSERT INTO tally VALUES ('publication', '', -1)
    ON CONFLICT (what, key) DO UPDATE SET rows = rows - 1;
END;

-- what the wall clock should show at the least, noted again and again; one row
CREATE TABLE clock_seen (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL
) STRICT;

-- ids that differ in case alone, for imports: people take one for the other
CREATE INDEX device_any_case ON device (id COLLATE NOCASE);
CREATE INDEX service_point_any_case ON service_point (id COLLATE NOCASE);
CREATE INDEX device_group_any_case ON device_group (name COLLATE NOCASE);
