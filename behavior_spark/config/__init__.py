"""Settings from ``conf/*.yaml``: models, overlays, environment, clear errors."""

from behavior_spark.config.loading import find_config, load_settings, validate_settings
from behavior_spark.config.settings import (
    FeatureSettings,
    GpuSettings,
    Labels,
    LocalSpark,
    Privacy,
    Settings,
    Source,
    Sources,
    Target,
    TextSettings,
    TrainingSettings,
    WarehouseSettings,
)

__all__ = [
    "FeatureSettings",
    "GpuSettings",
    "Labels",
    "LocalSpark",
    "Privacy",
    "Settings",
    "Source",
    "Sources",
    "Target",
    "TextSettings",
    "TrainingSettings",
    "WarehouseSettings",
    "find_config",
    "load_settings",
    "validate_settings",
]
