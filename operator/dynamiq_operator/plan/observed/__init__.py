"""What was observed of an App's pods, of the Jobs of its triggers, and of children that could not be made."""
