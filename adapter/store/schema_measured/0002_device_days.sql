-- What each device sent of each local day, counted from `measured` some time after its load is seen.
-- A day is counted as a whole each time: values that come late, again or otherwise need no more.

CREATE TABLE counted_device (
    number INTEGER PRIMARY KEY,
    device TEXT NOT NULL UNIQUE,
    last_at INTEGER NOT NULL,
    last_arrival INTEGER NOT NULL
) STRICT;

-- day: days since 1970-01-01, in the zone that `counted` names. expected: interval values of a whole
-- day, by the components that sent any; intervals: so many have a value; registers: other values;
-- doubtful: of both, those of a condition below 500000. arrived: when the last of them came first;
-- delay_s: so long after the end of the day, below 0 before it.
CREATE TABLE device_day (
    day INTEGER NOT NULL,
    device INTEGER NOT NULL,
    expected INTEGER NOT NULL,
    intervals INTEGER NOT NULL,
    registers INTEGER NOT NULL,
    doubtful INTEGER NOT NULL,
    last_at INTEGER NOT NULL,
    arrived INTEGER NOT NULL,
    delay_s INTEGER NOT NULL,
    PRIMARY KEY (day, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX device_day_device ON device_day (device, day);

-- How far: everything up to this row of this load. Nothing is counted in another zone.
CREATE TABLE counted (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    zone TEXT NOT NULL,
    load INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    at INTEGER NOT NULL
) STRICT;
INSERT INTO counted VALUES (1, '', 0, 0, 0);

-- days that have lost rows since they were counted: one time of each
CREATE TABLE recount (
    channel INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (channel, at)
) STRICT, WITHOUT ROWID;

-- ---------------------------------------------------------------- for people
-- Views whose columns stay: docs/completeness.md.

CREATE VIEW v_meter_day AS
SELECT date(d.day * 86400, 'unixepoch') AS day, c.device AS device, d.expected AS expected,
    d.intervals AS intervals, d.registers AS registers, d.doubtful AS doubtful,
    strftime('%Y-%m-%dT%H:%M:%SZ', d.last_at / 1000000, 'unixepoch') AS last_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', d.arrived / 1000000, 'unixepoch') AS arrived,
    d.delay_s AS delay_s
FROM device_day d JOIN counted_device c ON c.number = d.device;

CREATE VIEW v_meter_last AS
SELECT device, strftime('%Y-%m-%dT%H:%M:%SZ', last_at / 1000000, 'unixepoch') AS last_at,
    strftime('%Y-%m-%dT%H:%M:%SZ', last_arrival / 1000000, 'unixepoch') AS last_arrival
FROM counted_device;
