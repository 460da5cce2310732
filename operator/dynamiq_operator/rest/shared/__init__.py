"""What Apps and their deployments have in common: the parts of their bodies and answers."""
