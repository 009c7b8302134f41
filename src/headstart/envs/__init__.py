"""Worlds to act in: small pure-JAX worlds, and Gymnasium or EnvPool worlds stepped together on the host."""
