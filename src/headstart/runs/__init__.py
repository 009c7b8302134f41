"""The record of every run: a folder with its configuration, provenance, status, metrics and checkpoints."""
