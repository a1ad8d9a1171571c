"""Stages that make the tables of the uses: one module a use."""
