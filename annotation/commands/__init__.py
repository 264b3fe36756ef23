"""The commands of this package, one a file; heavy imports stand inside the commands."""
