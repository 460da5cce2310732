"""The parts of requests and responses that Apps and deployments share, and their parsing and serialization."""
