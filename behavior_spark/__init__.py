"""Understand and predict what users do, with transformers, on Spark."""

__version__ = "0.1.0"
