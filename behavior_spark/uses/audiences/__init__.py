"""Audiences for marketing: who is in, in which arm, with what to say, and what it led to."""
