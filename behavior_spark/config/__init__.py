"""Settings from ``conf/*.yaml``: models, overlays, environment, clear errors."""

from behavior_spark.config.alerts import AlertFeedback, Alerts
from behavior_spark.config.audiences import Audience, Recommendations
from behavior_spark.config.behaviour import BotSettings, Funnel, LeakageSettings
from behavior_spark.config.declared import DeclaredFeature, On
from behavior_spark.config.features import FeatureSettings
from behavior_spark.config.labels import Labels, LabelsPart
from behavior_spark.config.lifecycle import Annotation, Evaluation, Gate, Shadow
from behavior_spark.config.loading import (
    find_config,
    load_settings,
    parse_override,
    validate_settings,
)
from behavior_spark.config.local_spark import LocalSpark
from behavior_spark.config.pretraining import Pretraining
from behavior_spark.config.privacy import Privacy
from behavior_spark.config.service import Answers, Service, ServiceQueue
from behavior_spark.config.settings import Settings
from behavior_spark.config.sources import Attributes, Source, Sources
from behavior_spark.config.targets import Target
from behavior_spark.config.taxonomy import Behaviour
from behavior_spark.config.text import GpuSettings, TextSettings
from behavior_spark.config.training import TrainingSettings
from behavior_spark.config.tuning import Tuning
from behavior_spark.config.warehouse import WarehouseSettings

__all__ = [
    "AlertFeedback",
    "Alerts",
    "Annotation",
    "Answers",
    "Attributes",
    "Audience",
    "Behaviour",
    "BotSettings",
    "DeclaredFeature",
    "Evaluation",
    "FeatureSettings",
    "Funnel",
    "Gate",
    "GpuSettings",
    "Labels",
    "LabelsPart",
    "LeakageSettings",
    "LocalSpark",
    "On",
    "Pretraining",
    "Privacy",
    "Recommendations",
    "Service",
    "ServiceQueue",
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
    "parse_override",
    "validate_settings",
]
