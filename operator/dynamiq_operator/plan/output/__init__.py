"""The Events of a plan, and the groups in which its operations run. They decide nothing."""
