"""What clients of the product list besides Apps and workflows, and of which a cluster like this has none."""
