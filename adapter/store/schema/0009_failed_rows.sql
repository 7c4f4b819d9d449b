-- Rows of any loop that failed unexpectedly. waiting: tried again at `due`; set_aside, discarded: no
-- loop looks at them, `due` is the highest number. row is the key of the row, as text.

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
