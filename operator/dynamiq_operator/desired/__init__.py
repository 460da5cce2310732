"""What the operator makes for an App: a maker for each kind of child, from inputs to fresh manifests, and the table of the kinds."""
