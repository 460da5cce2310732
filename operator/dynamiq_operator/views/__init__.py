"""How an App's history, its previews and the verification of its history are rendered, as data and as text, for every surface."""
