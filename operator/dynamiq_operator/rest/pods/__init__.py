"""The pods of a deployment: their state, their Events, and their logs."""
