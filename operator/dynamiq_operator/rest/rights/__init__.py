"""The rights of a caller for an App, and in a project, before they try."""
