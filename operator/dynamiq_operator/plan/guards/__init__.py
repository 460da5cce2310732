"""What keeps a row from being deployed now: whose row it is, what policies ask, what people said, and for how long it waits."""
