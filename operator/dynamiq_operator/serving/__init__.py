"""What the HTTP servers of the management API and of the recorder share: limits of connections, lanes of callers, and the shape of errors."""
