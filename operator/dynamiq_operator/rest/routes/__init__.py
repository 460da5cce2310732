"""The calls, by what they are about. Each is a plain function, run in a thread: it waits for the API server."""
