"""Every metric, in one commented list. Labels are words of the vocabulary: never a URL, a host name or an id."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_LATENCY = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

# The log and the runner
RECORDS_HANDLED = Counter("takedown_records_handled", "Records handled, by outcome", ("group", "topic", "outcome"))
RECORD_SECONDS = Histogram("takedown_record_seconds", "Time to handle one record", ("group", "topic"), buckets=_LATENCY)
LAG = Gauge(
    "takedown_lag_records", "Records between the committed position and the end", ("group", "topic", "partition")
)
DEAD_LETTERS = Counter("takedown_dead_letters", "Records referenced in the dead letters", ("group", "topic"))
RETENTION_WAITING = Gauge(
    "takedown_retention_waiting_records",
    "Records past their retention that a group has not committed yet. Alarm on > 0",
    ("topic", "partition"),
)
OUTBOX_PENDING = Gauge("takedown_outbox_pending", "Outbox rows not yet published", ("schema",))
OUTBOX_PARKED = Gauge(
    "takedown_outbox_parked", "Outbox rows that can never be sent; each blocks its key. Alarm on > 0", ("schema",)
)

# The process
EVENT_LOOP_LAG = Histogram(
    "takedown_event_loop_lag_seconds",
    "How much later than asked a task of the event loop gets its turn, asked twenty times a second. Alarm on more than 1 s",
    buckets=_LATENCY,
)

# Workers of due rows
JOB_FAILURES = Counter("takedown_job_failures", "Jobs that failed in a way nobody foresaw. Alarm on > 0", ("worker",))

# Intake
CLAIMS = Counter("takedown_claims", "Claims, by what became of them", ("outcome",))
SIGHTINGS = Counter("takedown_sightings", "Sightings, by what became of them", ("outcome",))
REPORTS = Counter("takedown_reports", "Reports, by final state", ("state",))

# Matcher
REGISTER_SIZE = Gauge(
    "takedown_register_fingerprints", "Fingerprints of active content in the register", ("algorithm",)
)
REGISTER_AGE = Gauge("takedown_register_age_seconds", "Since the register was last at the log's end")
INDEX_HEAD = Gauge(
    "takedown_index_head_entries", "Registered fingerprints not frozen into the index yet", ("algorithm",)
)
INDEX_BYTES = Gauge("takedown_index_bytes", "Bytes of the register's index, mapped files among them", ("algorithm",))
INDEX_MERGES = Counter("takedown_index_merges", "Merges of new fingerprints into the register's index", ("algorithm",))
INDEX_MERGE_SECONDS = Counter("takedown_index_merge_seconds", "Seconds spent on these merges", ("algorithm",))
INDEX_QUERIES = Counter("takedown_index_queries", "PDQ values looked up in the register")
INDEX_CANDIDATES = Counter("takedown_index_candidates", "Registered PDQ values compared for them")
INDEX_SCANS = Counter("takedown_index_scans", "Lookups that a crowded bucket turned into comparing everything")
HISTORY_BYTES = Gauge("takedown_history_bytes", "Bytes of what is remembered", ("partition", "where"))
"""where: memory, disk"""
SNAPSHOT_AGE = Gauge("takedown_snapshot_age_seconds", "Since what is in the file was taken", ("what",))
SNAPSHOT_SECONDS = Histogram("takedown_snapshot_seconds", "Time to write a file of it", ("what",), buckets=_LATENCY)
HISTORY_HEAD = Gauge("takedown_history_head_entries", "Sightings remembered that are in no segment yet", ("partition",))
HISTORY_INDEX_BYTES = Gauge(
    "takedown_history_index_bytes", "Bytes of the segments' indexes, mapped files among them", ("partition",)
)
HISTORY_MERGES = Counter(
    "takedown_history_merges", "Segments built of new sightings and younger segments", ("partition",)
)
HISTORY_MERGE_SECONDS = Counter("takedown_history_merge_seconds", "Seconds spent on building them", ("partition",))
HISTORY_QUERIES = Counter("takedown_history_queries", "PDQ values looked up in histories, of each partition anew")
HISTORY_CANDIDATES = Counter("takedown_history_candidates", "Remembered PDQ values in segments compared for them")
HISTORY_SCANS = Counter(
    "takedown_history_scans", "Lookups that a crowded bucket turned into comparing all of a segment"
)
HISTORY_SIZE = Gauge("takedown_history_entries", "Sightings remembered, by partition", ("partition",))
SIGHTINGS_MATCHED = Counter("takedown_sightings_matched", "Sightings that met the register")
SIGHTINGS_AT_ONCE = Gauge("takedown_sightings_records_at_once", "Records of sightings that are asked for at once")
MATCHES = Counter("takedown_matches", "Matches published", ("algorithm", "guarded"))
MATCH_DROPPED = Counter("takedown_matches_dropped", "Matches dropped just before sending", ("reason",))

# Notifier
TAKEDOWNS = Gauge("takedown_takedowns", "Takedowns, by state", ("state",))
CHECKS = Counter("takedown_checks", "Checks, by outcome", ("outcome",))
BROWSER_LOOKS = Counter("takedown_browser_looks", "Looks of the browser, by what became of them", ("outcome",))
ATTEMPTS = Counter("takedown_attempts", "Attempts, by channel and outcome", ("channel", "outcome"))
ATTEMPT_SECONDS = Histogram("takedown_attempt_seconds", "Time of one attempt", ("channel",), buckets=_LATENCY)
MAIL_SERVER_REFUSING = Gauge(
    "takedown_mail_server_refusing", "1 while our own mail server takes nothing from us. Alarm on > 0"
)
TASKS = Gauge("takedown_tasks_open", "Tasks that wait for a person", ("kind",))
OVERDUE = Gauge("takedown_demands_overdue", "Demands past their deadline with the content still there")
