"""
A run between Kafka and Redis as a real Prometheus sees it, and as its own summary tells it.
"""

import re
import subprocess
import time
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

from config.settings import CheckpointSettings, Settings
from connectors.formats import event_times
from tests.pipeline.kafka_job import Job, until
from tests.pipeline.test_acceptance import split_by_person, traffic_lines
from tests.services.kafka import KafkaServer
from tests.services.process import free_ports
from tests.services.prometheus import Prometheus, promtool_program
from tests.services.redis import RedisServer


def asked(port: int, path: str) -> tuple[int, str]:
    """Status and text of an answer."""
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError:
        return 0, ""


def rows(summary: str) -> dict[str, str]:
    """The summary's rows, each on one line."""
    found: dict[str, str] = {}
    name = ""
    for line in summary.splitlines():
        head, value = line[:13].strip(), line[13:].strip()
        name = head or name
        found[name] = f"{found.get(name, '')} {value}".strip()
    return found


def number(text: str, after: str) -> int:
    """The number before a word."""
    found = re.search(rf"([\d,]+) {after}", text)
    return int(found[1].replace(",", "")) if found else 0


def test_prometheus_and_the_summary_agree(
    tmp_path: Path, kafka: KafkaServer, redis_server: RedisServer, say: Callable[[str], None]
) -> None:
    """
    Records, duplicates, dead letters, triggers, merges, lag, watermark and the latency of triggers; and what is
    served is what Prometheus' own tool finds no fault with.
    """
    (port,) = free_ports(1)
    settings = Settings(checkpoint=CheckpointSettings(interval_ms=300), key_groups=12)
    more = {"telemetry": {"port": port, "host": "127.0.0.1"}}
    job = Job(tmp_path, kafka, settings, redis=redis_server, more=more)
    parts = split_by_person(traffic_lines(), 3)
    promtool = promtool_program(say)
    (tmp_path / "prometheus").mkdir()
    prometheus = Prometheus(tmp_path / "prometheus", f"127.0.0.1:{port}")
    prometheus.start()
    try:
        with job.running():
            until(lambda: asked(port, "/readyz") == (200, "ok\n"))
            assert asked(port, "/healthz") == (200, "ok\n")
            # In turns, as a shop writes: a partition that is empty still while the others fill holds nobody up.
            turns = zip_longest(*parts.values())
            job.produce((n, line) for turn in turns for n, line in enumerate(turn) if line is not None)
            until(lambda: job.lag() == 0)
            published = "sum(nextmove_trigger_latency_seconds_count)"
            until(lambda: 0 < prometheus.query(published).get((), 0) == len(sent_of(job)))
            time.sleep(2.5)  # two scrapes of what does not change any more
            metrics = asked(port, "/metrics")[1]
            lint = subprocess.run(
                [promtool.path, "check", "metrics"],
                input=metrics,
                env=dict(promtool.environment),
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            seen = {name: prometheus.query(f"sum(nextmove_{name})").get((), 0.0) for name in NAMES}
            lags = prometheus.query("nextmove_source_lag_records")
            watermark = prometheus.query("nextmove_watermark_timestamp_seconds")[(job.topic,)]
            latest = prometheus.query("nextmove_last_event_timestamp_seconds")[(job.topic,)]
    finally:
        prometheus.stop()
    told = rows((tmp_path / "out.txt").read_text())
    assert (lint.returncode, lint.stderr) == (0, "")
    assert lags == {("0", job.topic): 0, ("1", job.topic): 0, ("2", job.topic): 0}
    tops = [max(at for at in event_times(lines) if at) / 1000 for lines in parts.values()]
    assert latest == max(tops)
    assert min(tops) - 30.1 < watermark < min(tops) + 60, "the slowest partition, less the lateness, and some silence"
    assert seen["events_ingested_total"] == number(told["Records"], "read") == 20_000
    assert seen["events_duplicate_total"] == number(told["Records"], "duplicates") == 200
    assert seen["dlq_records_total"] == number(told["Records"], "dead letters") == 100
    triggers, topics = len(sent_of(job)), job.consumed()
    assert seen["triggers_total"] == number(told["Triggers"].replace(":", " in all:"), "in all") == triggers
    assert seen["trigger_latency_seconds_count"] == seen["triggers_total"] > 0
    assert seen["triggers_retracted_total"] == number(told["Retracted"].replace(":", " in all:"), "in all")
    assert seen["triggers_retracted_total"] == len(topics["triggers"]) - triggers > 0
    assert seen["rule_matches_total"] == triggers + len(topics["suppressed"])
    assert seen["rule_errors_total"] == 0
    assert seen["identity_merges_total"] == number(told["Identities"], "visitors joined") > 0
    assert seen["redis_errors_total"] == seen["produce_errors_total"] == 0


def sent_of(job: Job) -> list[dict[str, Any]]:
    """Triggers that were published, without what takes them back."""
    return [one for one in job.consumed()["triggers"] if "context" in one["data"]]


NAMES = (
    "events_ingested_total",
    "events_duplicate_total",
    "dlq_records_total",
    "triggers_total",
    "triggers_retracted_total",
    "rule_matches_total",
    "rule_errors_total",
    "trigger_latency_seconds_count",
    "identity_merges_total",
    "redis_errors_total",
    "produce_errors_total",
)


def test_a_broker_that_hangs_makes_it_unready_and_not_dead(tmp_path: Path, kafka: KafkaServer) -> None:
    """
    Whoever balances loads turns away from it, whoever restarts the dead lets it be; and it recovers by itself.
    """
    (port,) = free_ports(1)
    job = Job(tmp_path, kafka, Settings(), more={"telemetry": {"port": port, "host": "127.0.0.1"}})
    with job.running():
        until(lambda: asked(port, "/readyz")[0] == 200)
        kafka.pause()
        until(lambda: asked(port, "/readyz")[0] == 503)
        assert asked(port, "/readyz")[1].startswith("waiting for the source")
        assert asked(port, "/healthz") == (200, "ok\n")
        kafka.resume()
        until(lambda: asked(port, "/readyz")[0] == 200)


def test_a_port_that_is_taken_is_told(tmp_path: Path, kafka: KafkaServer) -> None:
    (port,) = free_ports(1)
    job = Job(tmp_path, kafka, Settings(), more={"telemetry": {"port": port, "host": "127.0.0.1"}})
    with job.running():
        until(lambda: asked(port, "/healthz")[0] == 200)
        assert job.fails() == (
            1,
            f"nextmove: 127.0.0.1:{port}: Address already in use; name another address for the metrics\n",
        )
