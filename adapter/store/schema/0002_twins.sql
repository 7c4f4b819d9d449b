-- ids that differ in case alone, for imports: people take one for the other
CREATE INDEX device_any_case ON device (id COLLATE NOCASE);
CREATE INDEX service_point_any_case ON service_point (id COLLATE NOCASE);
CREATE INDEX device_group_any_case ON device_group (name COLLATE NOCASE);
