"""The aligner: its parts, its losses, and questions as it takes them."""
