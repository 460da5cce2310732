"""The objects that an App owns: what each should be, and what brings it there."""
