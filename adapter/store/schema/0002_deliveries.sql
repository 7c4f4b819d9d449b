-- Systems that events are posted to. seq: all events up to it were posted or are in delivery.
-- active: 0 where the settings have it no longer
CREATE TABLE receiver (
    name TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    active INTEGER NOT NULL,
    stopped TEXT NOT NULL,
    alarm INTEGER
) STRICT, WITHOUT ROWID;

-- Events that a receiver has not taken while it was offered later ones
CREATE TABLE delivery (
    receiver TEXT NOT NULL,
    seq INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    first INTEGER,
    due INTEGER NOT NULL,
    error TEXT NOT NULL,
    PRIMARY KEY (receiver, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_seq ON delivery (seq);
