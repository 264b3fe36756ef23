"""Training runs: data, batches, steps, the loop, one or several processes, what a run writes."""
