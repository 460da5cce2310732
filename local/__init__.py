"""Starts a real Kubernetes on this machine: real components, built from their Go modules, without Docker.

`python -m local --help` lists the commands. Nothing here is shipped with the operator.
"""
