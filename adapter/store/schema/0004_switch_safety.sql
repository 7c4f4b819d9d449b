-- Caps and quotas: what was used of each, by the hour of the site's clock; what waits for room, and
-- until when; who lets more pass than a limit allows, and until when.
CREATE TABLE limit_use (
    name TEXT NOT NULL,
    member TEXT NOT NULL,
    hour INTEGER NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (name, member, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_use_hour ON limit_use (hour);

CREATE TABLE limit_wait (
    communication TEXT PRIMARY KEY,
    command TEXT NOT NULL,
    name TEXT NOT NULL,
    member TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_wait_turn ON limit_wait (name, member, until);

-- name: of the limit; empty: of all
CREATE TABLE limit_override (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    begins INTEGER NOT NULL,
    ends INTEGER NOT NULL,
    ended INTEGER,
    body BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_override_open ON limit_override (ends) WHERE ended IS NULL;

-- that switching may go on, asked by one person and not confirmed by another yet
CREATE TABLE resume_request (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    body BLOB NOT NULL
) STRICT;
