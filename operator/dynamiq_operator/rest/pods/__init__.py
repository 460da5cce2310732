"""The pods of a deployment: how they do, their Events, and what they log."""
