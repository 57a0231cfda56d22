"""A Network Load Balancer node's connections that a kernel cannot carry: those whose TLS ends here, and those before which a PROXY header goes."""
