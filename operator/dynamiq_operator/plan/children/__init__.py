"""The objects that an App owns: their manifests, and what brings those that are observed to them."""
