from __future__ import annotations

from tests.hub_server.fixtures import hub, hub_process

__all__ = ["hub", "hub_process"]
