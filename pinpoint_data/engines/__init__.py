"""Where chunks of work run: in processes of this machine, or on a Ray cluster. The bytes are the same."""

from __future__ import annotations

from pinpoint_data.engines.base import Failed, NodeError, Workers
from pinpoint_data.engines.options import engine_option, make_workers, ray_address_option

__all__ = ["Failed", "NodeError", "Workers", "engine_option", "make_workers", "ray_address_option"]
