"""Selections as pictures and as a page to open in a browser."""
