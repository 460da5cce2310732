"""Lists the types of nodes that the engines of Runtimes run. The runtime has its own list: a test keeps both equal."""

from __future__ import annotations

NODE_TYPES = (
    *("dynamiq.nodes.utils.Input", "dynamiq.nodes.tools.Python", "dynamiq.nodes.utils.Output"),
    *("dynamiq.nodes.tools.HumanFeedbackTool", "dynamiq.nodes.operators.Delay"),
)
"""Types of nodes that every engine runs. The tiny one runs only these, the SDK's many more."""
