"""The commands, one module each: `add_arguments` adds its arguments and help, `run` takes the context of a call and returns the exit code."""
