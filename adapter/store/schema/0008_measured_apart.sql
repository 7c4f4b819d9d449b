-- Measurements have a file of their own; what was here has been copied into it before this runs.
DROP TABLE measured;
DROP TABLE channel;
DROP TABLE conversion;
