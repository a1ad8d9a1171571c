"""Spark's own classes, asked without a cluster: how it reads options, keys and stage resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyspark.resource import ResourceProfile

SPARK = "org.apache.spark"
# Where Spark declares its keys; a declaration is known once its object was loaded.
DECLARATIONS = [
    f"{SPARK}.internal.config.package", f"{SPARK}.internal.config.Python",
    f"{SPARK}.deploy.k8s.Config", f"{SPARK}.deploy.yarn.config.package",
    f"{SPARK}.sql.internal.SQLConf", f"{SPARK}.sql.internal.StaticSQLConf",
    f"{SPARK}.sql.delta.sources.DeltaSQLConf",
]  # fmt: skip


@dataclass(frozen=True)
class SparkClasses:
    """The classes of a running JVM.

    Attributes:
        jvm: Py4J's view of it.
    """

    jvm: Any

    def module(self, name: str) -> Any:
        """A Scala object, of Spark's jars or of those that were added to it."""
        java = self.jvm.java.lang
        loader = java.Thread.currentThread().getContextClassLoader()
        return java.Class.forName(f"{name}$", True, loader).getField("MODULE$").get(None)

    def refusal(self, key: str, value: str) -> str:
        """Why Spark or Delta would not take a setting; empty if they take it."""
        for name in DECLARATIONS:
            self.module(name)
        entry = self.module(f"{SPARK}.internal.config.ConfigEntry").findEntry(key)
        if entry is None:
            return f"{key} is not a key"
        try:
            entry.valueConverter().apply(value)
        except Exception as error:
            return f"{key} does not take {value}: {str(error)[:200]}"
        return ""

    def submitted(self, words: Sequence[str], environment: Mapping[str, str]) -> Any:
        """The options of ``spark-submit``, as it parses and checks them."""
        java = self.jvm.java.util
        listed, mapped = java.ArrayList(), java.HashMap()
        for word in words:
            listed.add(word)
        for name, value in environment.items():
            mapped.put(name, value)
        scala = self.jvm.scala.jdk.javaapi.CollectionConverters.asScala
        same = self.module("scala.$less$colon$less").refl()
        parse = self.jvm.org.apache.spark.deploy.SparkSubmitArguments
        return parse(scala(listed).toSeq(), scala(mapped).toMap(same))

    def configuration(self, submitted: Any, **changes: str) -> Any:
        """A SparkConf of what was submitted."""
        conf = self.jvm.org.apache.spark.SparkConf(False)
        pairs = submitted.sparkProperties().iterator()
        while pairs.hasNext():
            pair = pairs.next()
            conf.set(pair._1(), pair._2())
        fixed = {"spark.master": submitted.master(), "spark.app.name": "night",
                 "spark.driver.host": "driver", "spark.driver.port": "7078"}  # fmt: skip
        for key, value in {**fixed, **changes}.items():
            conf.set(key, value)
        return conf

    def supports(self, conf: Any, profile: ResourceProfile) -> bool:
        """Whether Spark would run a stage with these resources; it raises where it would not."""
        bus = self.jvm.org.apache.spark.scheduler.LiveListenerBus(conf)
        manager = self.jvm.org.apache.spark.resource.ResourceProfileManager(conf, bus)
        return bool(manager.isSupported(profile._java_resource_profile))

    @contextmanager
    def default_profile(self, conf: Any) -> Iterator[Any]:
        """The resources of all other stages; the running session's own are made anew after."""
        profiles = self.module(f"{SPARK}.resource.ResourceProfile")
        profiles.clearDefaultProfile()
        try:
            yield profiles.getOrCreateDefaultProfile(conf)
        finally:
            profiles.clearDefaultProfile()

    def pod_limits(self, conf: Any, profile: Any) -> tuple[str, dict[str, str]]:
        """Image and limits of an executor's container, as Spark would ask Kubernetes for it."""
        k8s = self.jvm.org.apache.spark.deploy.k8s
        none = self.module("scala.None")
        secret = self.module(f"{SPARK}.internal.config.package").AUTH_SECRET_FILE_EXECUTOR()
        security = self.jvm.org.apache.spark.SecurityManager(conf, none, secret)
        executor = k8s.KubernetesExecutorConf(conf, "night", "1", none, profile.id())
        step = k8s.features.BasicExecutorFeatureStep(executor, security, profile)
        container = step.configurePod(self.module(f"{SPARK}.deploy.k8s.SparkPod").initialPod())
        container = container.container()
        limits = container.getResources().getLimits()
        return str(container.getImage()), {str(name): str(limits[name]) for name in limits}
