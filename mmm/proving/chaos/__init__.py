"""Random faults on a running sandbox while clients write, and an independent judge of what came of it."""
