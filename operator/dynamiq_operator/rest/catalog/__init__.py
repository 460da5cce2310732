"""Lists of the product besides Apps and workflows, which are always empty in a cluster like this one."""
