-- What became of each arrival: '' not looked at yet, new, repeated, same (told before by the other
-- callback, under another sequence number or none), unknown; event is the device event's number.
ALTER TABLE arrived_event ADD COLUMN became TEXT NOT NULL DEFAULT '';
ALTER TABLE arrived_event ADD COLUMN event INTEGER;
CREATE INDEX arrived_event_unknown ON arrived_event (endpoint, at) WHERE became = 'unknown';

-- exception: it was told as one first; also: the sequence number (-1: none) under which the other
-- callback told it, NULL while it has not
ALTER TABLE device_event ADD COLUMN exception INTEGER NOT NULL DEFAULT 0;
ALTER TABLE device_event ADD COLUMN also INTEGER;
UPDATE device_event SET exception = coalesce(CAST(body AS TEXT) ->> '$.exception', 0);
