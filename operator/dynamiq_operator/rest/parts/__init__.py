"""The parts that requests and responses of several resources have in common. Pure: nothing here calls the API server."""
