"""Provides the HTTP servers of the management API and the recorder with limits of connections, lanes of callers, and a format of errors."""
