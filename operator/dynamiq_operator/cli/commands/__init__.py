"""The commands, one module each: `run` takes the context of a call and returns the exit code."""
