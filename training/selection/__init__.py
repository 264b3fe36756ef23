"""From window scores to regions of pages, and what that took."""
