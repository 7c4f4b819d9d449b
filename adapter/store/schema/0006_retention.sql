-- taken: when the gateway took the event, from which its age is counted
ALTER TABLE device_event ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
UPDATE device_event SET taken = at;

-- bodies are kept while a part of them waits to be mended
CREATE INDEX intake_error_bad_part ON intake_error (payload)
    WHERE why = 'bad_part' AND state = 'open';
