"""What Apps and deployments share: parts of their requests and responses, and how these are parsed and serialized."""
