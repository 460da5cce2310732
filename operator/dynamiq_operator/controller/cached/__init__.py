"""Holds what the watches reported of the cluster: the objects, by App, and the kinds that cannot be listed.

Its only request discovers the Gateway API.
"""
