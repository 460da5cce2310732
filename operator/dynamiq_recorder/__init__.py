"""The recorder: stores the runs of Apps, and compares the runs of their rows."""

__version__ = "0.1.0"
