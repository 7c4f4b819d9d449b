"""Reads settings: frozen dataclasses from a TOML file, the environment and files of secrets."""
