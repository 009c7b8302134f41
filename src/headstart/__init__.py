"""Learn decisions from the data you already have, then from the world."""

__version__ = "0.1.0"
