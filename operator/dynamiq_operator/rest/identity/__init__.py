"""The caller, the organisation and the projects."""
