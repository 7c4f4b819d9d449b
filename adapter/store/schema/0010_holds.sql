-- why switch orders are held; a row goes when the reason does
CREATE TABLE switch_hold (
    reason TEXT PRIMARY KEY,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- what the wall clock should show at the least, noted again and again; one row
CREATE TABLE clock_seen (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at INTEGER NOT NULL
) STRICT;
