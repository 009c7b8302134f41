"""Bandits: worlds without states, and learners of them with guarantees."""
