"""Judges: rewards and preferences that are not a world's own."""
