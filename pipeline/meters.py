"""Every metric that a run shows: its name, its labels, what it means, and where its value comes from.

Labels hold names from closed sets, from the settings (topics) or from rules, never an id. Series with labels from a
closed set are there from the start, at 0, for Prometheus sees no increase in what was not there before.
"""

from __future__ import annotations

from typing import Final, get_args

from connectors.formats.identifiers import PersonalType
from operators.cart_record import State
from operators.identity_record import Rule, What
from operators.leg import REASONS
from pipeline import readings
from pipeline.decision_meters import DECISION_METERS
from pipeline.meter import Meter
from pipeline.tally import MERGING

# The objectives (a trigger within 250 ms, 5 s at the worst) are bounds of buckets: else a quantile there is a guess.
DELAY_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30, 60, 300)
# From a look-up on the same host to the last attempt before the store counts as away.
COMMAND_BUCKETS: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)

SENT_FOR: Final = ("visitors", "profiles")

METERS: Final = (
    # Flow.
    Meter(
        "nextmove_events_ingested_total",
        "counter",
        ("source",),
        "Records read, whatever became of them.",
        readings.by_source(lambda t: t.read),
    ),
    Meter(
        "nextmove_events_dropped_total",
        "counter",
        ("reason",),
        "Records read that do not count: duplicates, what happened before somebody was erased, what was screened, and"
        " dead letters by reason. The rest of those ingested counts.",
        readings.dropped,
    ),
    Meter(
        "nextmove_events_duplicate_total",
        "counter",
        ("source",),
        "Records dropped because their event id had been seen within the window.",
        readings.by_source(lambda t: t.duplicates),
    ),
    Meter(
        "nextmove_events_screened_total",
        "counter",
        ("source", "rule"),
        "Events that do not count: of known bots, of visitors too fast for people (rate), and of our own people"
        " (internal).",
        readings.screened,
    ),
    Meter(
        "nextmove_events_late_total",
        "counter",
        ("source",),
        "Events that came when the watermark of their partition had passed them, those too late for anything included.",
        readings.by_source(lambda t: t.late),
    ),
    Meter(
        "nextmove_events_clamped_total",
        "counter",
        (),
        "Events from the future, set to the time at which they were received.",
        readings.one(lambda t: t.clamped),
    ),
    Meter(
        "nextmove_identifiers_blocked_total",
        "counter",
        ("type",),
        "Identifiers left out of events because they name nobody: null and its like, or blocked by the settings.",
        readings.by(get_args(PersonalType), lambda t: t.blocked),
    ),
    Meter(
        "nextmove_dlq_records_total",
        "counter",
        ("source", "stage", "reason"),
        "Dead letters: of records that could not be read (decode), of events that came too late (profile), and of"
        " records that no topic takes, with their stream as the source (publish).",
        readings.dead_letters,
    ),
    Meter(
        "nextmove_duplicate_ids_forgotten_total",
        "counter",
        (),
        "Ids for recognising duplicates given up before their window was over, for there were more than may be kept.",
        readings.one(lambda t: t.forgotten_early),
    ),
    Meter(
        "nextmove_step_duration_seconds", "summary", ("step",), "Time spent in a step, a call a batch.", readings.steps
    ),
    # Latency.
    Meter(
        "nextmove_trigger_latency_seconds",
        "histogram",
        ("family",),
        "From a trigger's cause, the instant its timer was due, or the end of quiet hours that it was held for, until"
        " the output had acknowledged it.",
        bounds=DELAY_BUCKETS,
    ),
    Meter(
        "nextmove_timer_delay_seconds",
        "histogram",
        ("kind",),
        "From the instant a timer was due until the trigger it caused was handed to the output; only of live input.",
        bounds=DELAY_BUCKETS,
    ),
    Meter(
        "nextmove_event_age_seconds",
        "summary",
        ("source",),
        "How long ago events had happened when they were read; only of live input.",
        readings.event_ages,
    ),
    *DECISION_METERS,
    # Facts.
    Meter("nextmove_sessions_total", "counter", (), "Sessions closed, each once.", readings.one(lambda t: t.sessions)),
    Meter(
        "nextmove_session_revisions_total",
        "counter",
        (),
        "Sessions published anew after they had been closed: late events, two that turned out to be one, or a link by"
        " which they are a lead's.",
        readings.one(lambda t: t.session_revisions),
    ),
    Meter(
        "nextmove_sessions_stitched_total",
        "counter",
        (),
        "Sessions of visitors who became known, and of leads who became others, that are published anew as the lead's.",
        readings.one(lambda t: t.stitched),
    ),
    Meter(
        "nextmove_sessions_left_behind_total",
        "counter",
        (),
        "Those that are not, at each link: they ended longer before it than session.stitch, or are too many.",
        readings.one(lambda t: t.left_behind),
    ),
    Meter(
        "nextmove_calls_total",
        "counter",
        ("outcome",),
        "Telephone calls that are over, each once, by why they ended.",
        readings.by(REASONS - {""}, lambda t: t.calls_closed),
    ),
    Meter(
        "nextmove_call_wait_seconds_total",
        "counter",
        (),
        "How long those calls waited for an agent, or until they were given up.",
        readings.one(lambda t: t.waited_ms / 1000),
    ),
    Meter(
        "nextmove_calls_held",
        "gauge",
        (),
        "Telephone calls under way, and those that a late record may still revise.",
        readings.one(lambda t: t.calls),
    ),
    Meter(
        "nextmove_cart_changes_total",
        "counter",
        ("state",),
        "Changes of carts and checkouts to that state.",
        readings.by(get_args(State), lambda t: t.carts),
    ),
    Meter(
        "nextmove_items_sent_total",
        "counter",
        ("step",),
        "Events, hand-overs and states sent to other shards, by the step there that they are for.",
        readings.by(SENT_FOR, lambda t: t.sent),
    ),
    Meter(
        "nextmove_items_repeated_total",
        "counter",
        (),
        "What other shards have sent once more after a crash, and that was left out.",
        readings.one(lambda t: t.repeated),
    ),
    # Time and lag.
    Meter(
        "nextmove_watermark_timestamp_seconds",
        "gauge",
        ("source",),
        "Event time up to which the source is complete; absent while one of its partitions has said nothing yet.",
        readings.watermarks,
    ),
    Meter(
        "nextmove_leads_watermark_timestamp_seconds",
        "gauge",
        (),
        "Event time up to which timers of leads have fired: behind the sources' while another shard is down or lags.",
        readings.leads_watermark,
    ),
    Meter(
        "nextmove_last_event_timestamp_seconds",
        "gauge",
        ("source",),
        "Event time of the latest event read.",
        readings.last_events,
    ),
    Meter(
        "nextmove_source_lag_records",
        "gauge",
        ("topic", "partition"),
        "Records that the partition has and that are not read yet.",
        readings.lags,
    ),
    Meter(
        "nextmove_source_lag_seconds",
        "gauge",
        ("topic",),
        "How long the oldest record not read yet has been waiting.",
        readings.lag_seconds,
    ),
    # State.
    Meter("nextmove_profiles", "gauge", (), "Profiles held, visitors and leads.", readings.one(lambda t: t.profiles)),
    Meter(
        "nextmove_pending_timers",
        "gauge",
        (),
        "Profiles with something due at a known instant: an open session or cart, a visitor about to join a lead.",
        readings.one(lambda t: t.awake),
    ),
    Meter(
        "nextmove_leads_waiting",
        "gauge",
        (),
        "Leads of whom nothing is decided until the state of another one is there, who turned out to be the same.",
        readings.one(lambda t: t.waiting),
    ),
    Meter(
        "nextmove_profiles_expired_total",
        "counter",
        (),
        "Profiles that ended because nothing was heard of them for their retention time.",
        readings.one(lambda t: t.profiles_expired),
    ),
    Meter(
        "nextmove_identity_records_total",
        "counter",
        ("what",),
        "What became of leads and their identifiers: created, linked, moved to another lead, merged, refused,"
        " ambiguous, erased, split off (unmerged), stitched.",
        readings.by(get_args(What), lambda t: t.identity),
    ),
    Meter(
        "nextmove_identity_merges_total",
        "counter",
        ("rule",),
        "Anonymous visitors who became part of a lead: when their device was linked (anonymous_id), or their number as"
        " a caller (phone).",
        readings.by(MERGING, lambda t: t.merges),
    ),
    Meter(
        "nextmove_identity_conflicts_total",
        "counter",
        ("rule",),
        "Identifiers that were not linked, by the rule that forbade it.",
        readings.by(filter(None, get_args(Rule)), lambda t: t.conflicts),
    ),
    Meter(
        "nextmove_requests_total",
        "counter",
        ("request", "outcome"),
        "Answers to requests to show, export, erase or split what is known of somebody.",
        readings.answers,
    ),
    Meter(
        "nextmove_events_erased_late_total",
        "counter",
        (),
        "Events dropped because they were of somebody erased, whom another shard had not known to be when it read"
        " them.",
        readings.one(lambda t: t.erased_since),
    ),
    Meter(
        "nextmove_snapshot_age_seconds",
        "gauge",
        (),
        "Time since the state was last checkpointed; absent before the first time, and where it is not kept.",
        readings.snapshot_age,
    ),
    # Dependencies.
    Meter(
        "nextmove_dependency_up",
        "gauge",
        ("dependency",),
        "1 while the source, the sink or the store answers, 0 while the flow waits for it.",
        readings.up,
    ),
    Meter(
        "nextmove_source_errors_total",
        "counter",
        (),
        "Errors in reading, those included that mended themselves.",
        readings.errors("source"),
    ),
    Meter(
        "nextmove_producer_queue_messages",
        "gauge",
        (),
        "Records handed to the producer and not acknowledged yet.",
        readings.queued,
    ),
    Meter(
        "nextmove_produce_errors_total",
        "counter",
        (),
        "Errors in writing, those included that mended themselves.",
        readings.errors("sink"),
    ),
    Meter(
        "nextmove_redis_command_duration_seconds",
        "histogram",
        ("command",),
        "Time that the identity store took to answer.",
        bounds=COMMAND_BUCKETS,
    ),
    Meter(
        "nextmove_redis_errors_total",
        "counter",
        (),
        "Times that the identity store was away when it was asked.",
        readings.errors("store"),
    ),
    Meter(
        "nextmove_redis_resets_total",
        "counter",
        (),
        "Times that the identity store was found empty after it had held something.",
        readings.resets,
    ),
    # Meta.
    Meter("nextmove_build_info", "gauge", ("version",), "Always 1; tells the version that runs.", readings.build),
    Meter(
        "nextmove_config_info",
        "gauge",
        ("hash",),
        "Always 1; tells which settings are in force.",
        lambda watched: {(watched.config_hash,): 1} if watched.config_hash else {},
    ),
)
"""All of them; `docs/reference/metrics.md` shows the same table."""
