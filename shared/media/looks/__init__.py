"""What a look at a URL saw, and how a page is looked at without a browser."""
