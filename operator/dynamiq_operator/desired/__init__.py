"""Makers of what the operator makes for an App: (App, record) to manifest, each value fresh, nothing read and nothing written."""
