"""What an answer means that shows nothing we look for: pure."""
