"""The reference runtime: serves one Workflow version over HTTP, with the engine `tiny`.

It runs Input, Python and Output nodes like Dynamiq's SDK. Every other node is refused at start, so that it is never run wrongly later. It
imports nothing of the operator and talks to no Kubernetes API.
"""

__version__ = "0.1.0"
