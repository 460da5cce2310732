"""Types of nodes that the engines of Runtimes run. The runtime has a list of its own: a test keeps both equal."""

from __future__ import annotations

NODE_TYPES = ("dynamiq.nodes.utils.Input", "dynamiq.nodes.tools.Python", "dynamiq.nodes.utils.Output")
"""Types of nodes that every engine runs: the tiny one these alone, the SDK's many more."""
