-- Which devices name which endpoint, whatever its spelling (endpoint_key is the program's); and the
-- lanes of open commands by endpoint, beside those by device.

CREATE TABLE endpoint_device (
    device TEXT PRIMARY KEY,
    key TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX endpoint_device_key ON endpoint_device (key);

INSERT INTO endpoint_device (device, key)
SELECT id, endpoint_key(endpoint) FROM device WHERE endpoint IS NOT NULL;

INSERT OR IGNORE INTO lane (name, command)
SELECT substr(l.name, 1, instr(l.name, ':') - 1) || '@' || e.key, l.command
FROM lane l JOIN endpoint_device e ON e.device = substr(l.name, instr(l.name, ':') + 1);
