"""Media: pictures and films, what pages say of them, and what they look like."""
