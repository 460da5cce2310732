"""What is sent to the recorder, and what becomes of it: from bytes to runs, and from a queue into the store."""
