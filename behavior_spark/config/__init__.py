"""Settings from ``conf/*.yaml``: models, overlays, environment, clear errors."""

from behavior_spark.config.adaptation import Adaptation
from behavior_spark.config.labels import Labels, LabelsPart
from behavior_spark.config.lifecycle import Annotation, Evaluation, Gate, Shadow
from behavior_spark.config.loading import find_config, load_settings, validate_settings
from behavior_spark.config.settings import (
    FeatureSettings,
    GpuSettings,
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
from behavior_spark.config.tuning import Tuning

__all__ = [
    "Adaptation",
    "Annotation",
    "Evaluation",
    "FeatureSettings",
    "Gate",
    "GpuSettings",
    "Labels",
    "LabelsPart",
    "LocalSpark",
    "Privacy",
    "Settings",
    "Shadow",
    "Source",
    "Sources",
    "Target",
    "TextSettings",
    "TrainingSettings",
    "Tuning",
    "WarehouseSettings",
    "find_config",
    "load_settings",
    "validate_settings",
]
