"""Papers: one module each, with its claims, its desk-scale experiment and its verdict."""
