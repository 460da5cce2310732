"""The environments of an App's project, and the same App in each."""
