"""The environments of an App's project, and where in them the same App is."""
