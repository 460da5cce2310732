"""Builds the desired children of an App: one maker for each kind, from inputs to fresh manifests, and the table of kinds."""
