-- few name a head end: those of others are not expected to report
CREATE INDEX device_head_end ON device (id)
    WHERE json_valid(CAST(body AS TEXT)) AND CAST(body AS TEXT) ->> '$.head_end' <> '';

-- Views for people, whose columns stay (docs/completeness.md): which meters are expected to report,
-- and in which groups they are. What they reported is in the file of measurements.

CREATE VIEW v_meter AS
SELECT i.device AS device, CAST(d.body AS TEXT) ->> '$.head_end' AS head_end, d.endpoint AS endpoint, d.serial AS serial,
    i.service_point AS service_point,
    strftime('%Y-%m-%dT%H:%M:%SZ', i.installed_at / 1000000, 'unixepoch') AS installed_at
FROM install_event i JOIN device d ON d.id = i.device
WHERE i.removed = 0 AND json_valid(CAST(d.body AS TEXT)) AND EXISTS (SELECT 1 FROM endpoint_device e WHERE e.device = i.device);

CREATE VIEW v_meter_group AS
SELECT name AS "group", device FROM device_group;
