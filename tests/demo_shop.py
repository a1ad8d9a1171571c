"""The small shop of the suite's demo night: what its settings are beside ``conf/demo.yaml``."""

# What a night on it needs too when it is run elsewhere and compared.
NIGHT = [
    "training.min_positives=5",
    # Heads on the frozen encoder: seconds, not a minute; tests/model trains the rest.
    "text.finetune=heads",
    # Texts of the shop have ten words; which precision to take is tested on the store of scores.
    "text.max_length=32",
    "text.precision=fp32",
    # What alerts see, and what is planted for them, is tested in tests/uses.
    "alerts=null",
]
LEARNING = ["text.max_examples=300"]
