"""Statistics of results: normalised scores, intervals that are honest about few seeds, and how policies are ranked."""
