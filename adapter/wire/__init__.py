"""Bytes to values and back. The only home of zeep, lxml and xmlschema; opens no sockets."""
