"""The reference runtime: serves one Workflow version over HTTP, with the engine `tiny`.

It runs Input, Python and Output nodes with the meaning that Dynamiq's SDK gives them, and refuses every other node at start
instead of answering wrongly later. It imports nothing of the operator and talks to no Kubernetes API.
"""

__version__ = "0.1.0"
