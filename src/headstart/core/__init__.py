"""What every room needs: errors, specs, names, checkpoints, progress."""
