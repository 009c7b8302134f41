"""Recipes that build datasets by name: behaviour, world, number of transitions, and what is recorded of it."""
