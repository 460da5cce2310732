"""The kit of the HTTP servers: what the management API, the recorder and the gate share below their own packages."""
