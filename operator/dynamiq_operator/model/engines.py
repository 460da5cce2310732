"""What the engines of Runtimes run. The runtime has its own list: a test says that both are the same."""

from __future__ import annotations

NODE_TYPES = ("dynamiq.nodes.utils.Input", "dynamiq.nodes.tools.Python", "dynamiq.nodes.utils.Output")
"""Types of nodes that every engine runs: the tiny one these alone, the SDK's many more."""
