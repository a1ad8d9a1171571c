"""What the page of a night shows, read from the warehouse's tables as small aggregates."""
