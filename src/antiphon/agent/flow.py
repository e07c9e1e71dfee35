"""The agent's flow: a conversation led by rules."""

from __future__ import annotations

from antiphon.agent.flow_config import (
    CheckConfig,
    FlowConfig,
    FlowSays,
    IntentConfig,
    SlotConfig,
)

__all__ = ["CheckConfig", "FlowConfig", "FlowSays", "IntentConfig", "SlotConfig"]
