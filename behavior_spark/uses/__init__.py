"""What a night's tables are used for: audiences for marketing, alerts for security.

One package a use, which knows no other use. Verbs, DataFrame in, DataFrame out.
"""
