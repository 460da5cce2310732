"""The Dynamiq operator: every deploy of an App is a permanent row of its history."""

__version__ = "0.1.0"
