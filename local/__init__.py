"""A real Kubernetes on this machine: real components, built from their Go modules, without Docker.

`python -m local --help` says what it does. Nothing here is shipped with the operator.
"""
