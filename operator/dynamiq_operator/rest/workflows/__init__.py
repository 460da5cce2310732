"""Workflows: drafts, releases, and the node types that a flow may have."""
