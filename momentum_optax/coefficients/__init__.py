"""Where a coefficient comes from, when it is more than a number or a schedule."""
