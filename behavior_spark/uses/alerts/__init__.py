"""Risk alerts for a security team: what to look at in a night, with what can be checked."""
