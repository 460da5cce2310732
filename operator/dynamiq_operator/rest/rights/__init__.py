"""What a caller may do with an App, and in a project, before they try."""
