"""The evidence benchmark: what every token selector leaves of the same gold boxes, at the same budgets."""
