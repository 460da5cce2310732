"""The recorder: keeps what runs did, and says what a deploy changed."""

__version__ = "0.1.0"
