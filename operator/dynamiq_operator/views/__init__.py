"""Renders an App's history, its previews and the verification of its history, as data and as text, for every surface."""
