"""Who calls, and where: the user, the organisation, and the projects."""
