"""Models of what a user does next: items after items, in order of time."""

MODEL_FILE = "model.json"
