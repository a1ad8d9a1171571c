"""Settings from ``conf/*.yaml``: models, overlays, environment, clear errors."""

from behavior_spark.config.behaviour import BotSettings, Funnel, LeakageSettings
from behavior_spark.config.features import Behaviour, DeclaredFeature, FeatureSettings, On
from behavior_spark.config.loading import find_config, load_settings, validate_settings
from behavior_spark.config.settings import (
    Attributes,
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
    "Attributes",
    "Behaviour",
    "BotSettings",
    "DeclaredFeature",
    "FeatureSettings",
    "Funnel",
    "GpuSettings",
    "Labels",
    "LeakageSettings",
    "LocalSpark",
    "On",
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
