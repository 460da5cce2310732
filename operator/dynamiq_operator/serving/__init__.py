"""Provides parts of the HTTP servers of the management API and the recorder: limits of connections, lanes of callers, and the format of errors."""
