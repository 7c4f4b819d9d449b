-- What a crew has reported of a visit; which visits there were at a service point, the latest first.

CREATE INDEX field_report_activity ON field_report (activity, at, id);
CREATE INDEX child_closed ON order_child (service_point, id) WHERE open = 0;

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
