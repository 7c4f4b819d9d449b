"""As a site's own conftest has them; `pytest_plugins` may stand in the topmost one alone."""

from adapter.testing import clock, gateway, head_end, replay

__all__ = ["clock", "gateway", "head_end", "replay"]
