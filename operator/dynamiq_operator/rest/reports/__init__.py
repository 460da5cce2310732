"""Reports over the deployments of many Apps."""
