"""Hyper-parameter search: samplers, budgets, and the seeds that tell how good the chosen settings really are."""
