"""Finite worlds that can be solved exactly, and learners whose regret in them can be measured exactly."""
