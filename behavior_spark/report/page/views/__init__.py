"""Views: each turns facts of a night into one section of the page."""
