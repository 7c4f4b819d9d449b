"""A gateway between a utility's orchestration and an Itron OpenWay head end."""

__version__ = "0.1.0"
