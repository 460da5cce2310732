"""The API server as this API sees it: the client that acts for a caller, the index of ids, and what is cached of rows."""
