"""When failures of an encoder end what it was asked for."""

import pytest

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.failures import refuse_all_failed, refuse_failures


@pytest.mark.parametrize(
    ("failed", "texts", "stops"),
    [(10, 20, False), (11, 20, True), (19, 19, False), (0, 0, False), (600, 1000, True)],
)
def test_a_share_beyond_the_limit_stops_from_twenty_texts_on(failed, texts, stops) -> None:
    if not stops:
        refuse_failures(failed, texts, limit=0.5, cause="x")
        return
    with pytest.raises(ModelError, match=rf"{failed} of {texts:,} texts") as error:
        refuse_failures(failed, texts, limit=0.5, cause="weights that are not finite")
    assert "found: weights that are not finite" in str(error.value)


@pytest.mark.parametrize(
    ("failed", "texts", "limit", "stops"),
    [(5, 5, 0.5, True), (4, 4, 0.5, False), (4, 5, 0.5, False), (19, 19, 1.0, False)],
)
def test_of_a_whole_run_five_texts_that_all_fail_are_enough(failed, texts, limit, stops) -> None:
    if not stops:
        refuse_all_failed(failed, texts, limit=limit, cause=None)
        return
    with pytest.raises(ModelError, match="nothing of this training was stored"):
        refuse_all_failed(failed, texts, limit=limit, cause=None, kept="of this training")
