"""Observed facts about an App as values: its pods, the Jobs of its triggers, and children that could not be made."""
