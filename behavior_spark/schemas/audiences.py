"""Contracts of audiences: whom to reach, what was chosen, and what it led to."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from behavior_spark.schemas.contract import Contract, column

_STRING, _LONG, _INT, _DOUBLE, _DAY = (
    StringType(), LongType(), IntegerType(), DoubleType(), DateType(),
)  # fmt: skip

RECOMMENDED = StructType(
    [
        StructField("item_id", _STRING, True, {"comment": "which item"}),
        StructField("title", _STRING, True, {"comment": "its title, as known at as_of"}),
        StructField("because_of", _STRING, True, {"comment": "item of the user's that it goes "
                    "with most, or that speaks for it; null: none, it is popular"}),
        StructField("score", _DOUBLE, True, {"comment": "the sequence model's score, or the sum "
                    "of its similarities to the user's items; null: it is popular"}),
    ]
)  # fmt: skip

def members_contract(reason: StructType, change: StructType) -> Contract:
    """The contract ``audience_members``, with reasons and changes of the types of predictions."""
    return Contract(
        name="audience_members",
        comment="One row per audience, as_of and member: whom to reach, why, and with what",
        columns=(
            column("audience", _STRING, "name of the audience (config: audiences)", required=True),
            column("as_of", _DAY, "night that chose the members", required=True),
            column("user_id", _STRING, "who", required=True),
            column("target", _STRING, "what is predicted (config: targets)", required=True),
            column(
                "arm",
                _STRING,
                "reached, or holdout: not to be reached, to measure the effect by",
                required=True,
            ),
            column("rank", _LONG, "1 = the likeliest of those who could be in", required=True),
            column("probability", _DOUBLE, "calibrated probability of the target"),
            column("expected_value", _DOUBLE, "probability x value; null without a value"),
            column("expected_profit", _DOUBLE, "that less the cost of reaching; null without both"),
            column("reasons", ArrayType(reason), "why, as in user_propensity"),
            column("nearest_change", change, "what would move it, as in user_propensity"),
            column("intent", _STRING, "what the user writes about most, as in user_profile"),
            column("emotion", _STRING, "in what mood, as in user_profile"),
            column("preference", _STRING, "category with most events, as in user_profile"),
            column("items", ArrayType(RECOMMENDED), "items to recommend, the best first"),
            column(
                "item_sources",
                ArrayType(_STRING),
                "how each of the items was found: next (by the sequence model), again (the user "
                "has had it), together (with what the user has had), popular",
            ),
            column("valid_until", _DAY, "end of the target's horizon", required=True),
        ),
        key=("audience", "as_of", "user_id"),
        cluster_by=("as_of", "audience"),
    )


AUDIENCES = Contract(
    name="audiences",
    comment="One row per audience and as_of: who was chosen, who was left out and why",
    columns=(
        column("audience", _STRING, "its name (config: audiences)", required=True),
        column("as_of", _DAY, "night", required=True),
        column("target", _STRING, "what is predicted", required=True),
        column("rule", _STRING, "who is in, in words"),
        column("status", _STRING, "ready, empty or refused", required=True),
        column("remark", _STRING, "why it was refused, or what to know; null if nothing"),
        column("users", _LONG, "users with a prediction = members + all left_out columns"),
        column("members", _LONG, "reached + holdout"),
        column("reached", _LONG, "members to reach"),
        column("holdout", _LONG, "members not to reach"),
        column("left_out_bot", _LONG, "left out: behave like machines"),
        column("left_out_no_probability", _LONG, "left out: no probability was predicted"),
        column("left_out_excluded", _LONG, "left out: the condition exclude is true"),
        column("left_out_no_consent", _LONG, "left out: consent is not true"),
        column("left_out_consent_unknown", _LONG, "left out: consent is not known"),
        column("left_out_capped", _LONG, "left out: members within every_days before"),
        column("left_out_below", _LONG, "left out: less likely than the rule asks for"),
        column("expected", _DOUBLE, "conversions expected of the reached: sum of probabilities"),
        column("expected_low", _DOUBLE, "lower end of its 95 % interval (Poisson binomial)"),
        column("expected_high", _DOUBLE, "its upper end"),
        column("expected_at_random", _DOUBLE, "expected of as many users taken at random"),
        column("expected_profit", _DOUBLE, "of the reached; null without cost and value"),
        column(
            "detectable",
            _DOUBLE,
            "smallest difference of the arms' rates that has an 80 % chance to be seen; null "
            "without a holdout",
        ),
        column("valid_until", _DAY, "end of the target's horizon"),
        column("model_digest", _STRING, "model that made the predictions"),
        column("balanced", BooleanType(), "whether users = members + left out"),
    ),
    key=("audience", "as_of"),
    cluster_by=("as_of",),
)

AUDIENCE_RESULTS = Contract(
    name="audience_results",
    comment="One row per audience and as_of whose horizon has passed: what reaching changed",
    columns=(
        column("audience", _STRING, "its name", required=True),
        column("as_of", _DAY, "night that chose the members", required=True),
        column("target", _STRING, "what was predicted", required=True),
        column("valid_until", _DAY, "end of the horizon", required=True),
        column("measured_on", _DAY, "night that measured: what arrived before counts",
               required=True),
        column("reached", _LONG, "members to reach"),
        column("reached_conversions", _LONG, "of them: the target came true"),
        column("holdout", _LONG, "members not reached"),
        column("holdout_conversions", _LONG, "of them: the target came true"),
        column("expected", _DOUBLE, "conversions that were expected of the reached"),
        column("reached_rate", _DOUBLE, "conversions per reached member"),
        column("holdout_rate", _DOUBLE, "conversions per holdout member"),
        column("difference", _DOUBLE, "reached_rate - holdout_rate"),
        column("difference_low", _DOUBLE, "lower end of its 95 % interval (Newcombe 1998)"),
        column("difference_high", _DOUBLE, "its upper end"),
        column("lift", _DOUBLE, "reached_rate / holdout_rate"),
        column("lift_low", _DOUBLE, "lower end of its 95 % interval (Donner and Zou 2012)"),
        column("lift_high", _DOUBLE, "its upper end; null: no bound"),
        column("incremental", _DOUBLE, "conversions won by reaching: difference x reached"),
        column("incremental_low", _DOUBLE, "lower end of its 95 % interval"),
        column("incremental_high", _DOUBLE, "its upper end"),
        column("detectable", _DOUBLE, "difference that had an 80 % chance to be seen"),
        column("verdict", _STRING, "more, fewer, cannot tell, or no holdout"),
    ),
    key=("audience", "as_of"),
    cluster_by=("measured_on",),
)  # fmt: skip
