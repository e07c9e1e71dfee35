"""Several processes' counters as one answer."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from antiphon.observe.gather import merged
from antiphon.observe.metrics import Metrics


def counted(calls: int, agent: str) -> str:
    metrics = Metrics()
    metrics.calls_active(calls)
    for _ in range(calls):
        metrics.call_started("webrtc", agent)
        metrics.turn_answered(450)
    return metrics.render().decode()


def test_every_sample_says_whose_it_is() -> None:
    agent = 'an "agent" {of} ours, worker="7" \\ and 1 more'
    text = merged({0: counted(1, agent), 1: counted(3, agent)})
    families = {one.name: one for one in text_string_to_metric_families(text)}
    active = {one.labels["worker"]: one.value for one in families["antiphon_calls_active"].samples}
    assert active == {"0": 1.0, "1": 3.0}
    calls = families["antiphon_calls"].samples
    assert [one.value for one in calls if one.name == "antiphon_calls_total"] == [1.0, 3.0]
    assert {one.labels["agent"] for one in calls} == {agent}
    buckets = families["antiphon_answer_latency_seconds"]
    assert buckets.type == "histogram"
    counts = [one.value for one in buckets.samples if one.name.endswith("_count")]
    assert counts == [1.0, 3.0]


def test_a_metric_is_told_in_one_piece() -> None:
    lines = merged({0: counted(1, "a"), 2: counted(1, "b")}).splitlines()
    types = [line for line in lines if line.startswith("# TYPE ")]
    assert len(types) == len(set(types))
    names = [line.split(" ")[2] for line in lines if line.startswith("# TYPE ")]
    assert len(names) == len(set(names))


def test_a_process_that_has_counted_nothing() -> None:
    assert merged({}) == ""
    assert merged({0: ""}) == ""
    assert merged({1: "up 1\nempty{} 2\n"}) == 'up{worker="1"} 1\nempty{worker="1"} 2\n'
