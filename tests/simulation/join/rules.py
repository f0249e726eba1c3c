"""The rules of the join, each with the way to leave it out and the runs in which that is noticed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.simulation.join import file_sequences as file_sequences
from tests.simulation.join import omissions as omit
from tests.simulation.join import repeat_omissions as repeats
from tests.simulation.join import sequences as sequences
from tests.simulation.join.omissions import Patch


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A rule of the join. `leave_out` replaces the method that keeps it; `without` are the flags of those beside the matcher.

    Shown by a `sequence`, or found by the explorer, which does what it should `favour` more often; `seed` found it once.
    `always`: flags that are set in the runs that keep the rule, too.
    """

    name: str
    leave_out: Callable[[Patch], None] = lambda patch: None
    without: Mapping[str, bool] = field(default_factory=dict)
    always: Mapping[str, bool] = field(default_factory=dict)
    favour: Mapping[str, float] = field(default_factory=dict)
    steps: int = 150
    seed: int = 0
    sequence: sequences.Sequence | None = None


_RESTLESS: Mapping[str, float] = {"move": 5, "away_and_back": 2, "crash": 2, "start": 4}
_UPSET: Mapping[str, float] = {"suspend": 4, "resume": 3, "compact": 6, "hours": 4, "crash": 4, "start": 8}

JOIN_RULES: tuple[Rule, ...] = (
    # Add before you look, and durable before committed
    Rule(
        name="a sighting enters the history before it is matched",
        leave_out=omit.look_at_register_before_adding,
        seed=17,
    ),
    Rule(name="content enters the register before it is scanned", leave_out=omit.look_at_history_before_adding, seed=8),
    Rule(
        name="S is committed after the matches are durable",
        leave_out=omit.commit_sightings_before_durable,
        favour={"crash": 3, "start": 4},
        seed=6,
    ),
    Rule(
        name="C is committed after the matches are durable",
        leave_out=omit.commit_content_before_durable,
        sequence=sequences.death_before_the_matches_of_new_content,
    ),
    # The commit
    Rule(name="one record holds both offsets", leave_out=omit.content_offset_apart, favour=_RESTLESS, seed=32),
    Rule(
        name="C comes from the commit, never from kept state",
        leave_out=omit.content_offset_from_kept_state,
        sequence=sequences.content_log_anew_while_a_partition_is_away,
    ),
    Rule(
        name="a late commit of a former owner is refused",
        leave_out=omit.late_commits_count,
        without={"refuses_late_commits": False},
        always={"told_at_once": True},
        favour={"move": 8, "stall": 4},
        seed=130,
    ),
    Rule(
        name="a commit of another sightings log counts as none",
        leave_out=omit.believing_commits("sightings_log"),
        favour={"sightings_anew": 2, "see": 12},
        seed=421,
    ),
    Rule(
        name="a commit ahead of the sightings log's end counts as none",
        leave_out=omit.believing_commits("end"),
        sequence=file_sequences.sightings_log_that_lost_its_tail,
    ),
    Rule(
        name="an offset of another content log counts as none",
        leave_out=omit.believing_commits("content_log"),
        sequence=file_sequences.content_log_anew_while_all_is_down,
    ),
    Rule(
        name="an offset ahead of the content log's end counts as none",
        leave_out=omit.believing_commits("content_end"),
        sequence=file_sequences.content_log_that_lost_its_tail,
    ),
    Rule(
        name="a register of another log, ahead of its end or too old is not used",
        leave_out=omit.any_register_will_do,
        favour={"content_anew": 2, "crash": 2, "start": 4, "start_stale": 4, "copy": 3},
        seed=4,
    ),
    # Assignment
    Rule(name="the history is restored to S", leave_out=omit.no_restore, favour=_RESTLESS, seed=40),
    Rule(
        name="erasures up to the partition's end are applied first",
        leave_out=omit.no_erasures_ahead,
        favour={**_RESTLESS, "erase": 5, "stall": 3},
    ),
    Rule(
        name="the register is read to the log's end",
        leave_out=omit.not_to_the_end,
        favour={"move": 8, "suspend": 5, "relay": 14, "see": 8, "stall": 6, "start": 4},
        steps=250,
        seed=20,
    ),
    Rule(
        name="the end is asked for again after the compaction lag",
        leave_out=omit.end_asked_once,
        sequence=sequences.compaction_while_the_register_is_read,
    ),
    Rule(
        name="the partition joins the scanned set before its history is scanned",
        leave_out=omit.join_after_scan,
        sequence=sequences.content_while_a_history_is_scanned,
    ),
    Rule(
        name="the history is scanned when a partition is taken over", leave_out=omit.no_scan, favour=_RESTLESS, seed=19
    ),
    Rule(
        name="every entry at C or later is scanned, whether just applied or not",
        leave_out=omit.scan_only_just_applied,
        favour=_RESTLESS,
        seed=412,
    ),
    Rule(
        name="reading goes on at the committed S, also when the kept history is ahead",
        leave_out=omit.go_on_at_kept_position,
        sequence=sequences.a_session_ends_before_its_matches_are_sent,
    ),
    # What is stored and what is matched
    Rule(name="a repeat is matched", leave_out=repeats.repeats_not_matched, favour={"see_again": 6}),
    Rule(name="a repeat refreshes its entry", leave_out=repeats.repeats_refresh_nothing, favour={"see_again": 6}),
    Rule(
        name="a repeat refreshes the sighting_id", leave_out=repeats.repeats_refresh_time_alone, favour={"see_again": 6}
    ),
    Rule(
        name="a repeat refreshes last seen",
        leave_out=repeats.repeats_refresh_sighting_alone,
        sequence=sequences.a_repeat_after_a_long_time,
    ),
    # Just before a match is sent
    Rule(
        name="content is looked at again just before a match is sent",
        leave_out=repeats.content_not_looked_at_again,
        favour={"failure": 6, "suspend": 4, "relay": 14, "move": 4, "stall": 4},
        steps=200,
        seed=27,
    ),
    Rule(
        name="the URL is looked at again just before a match is sent",
        leave_out=repeats.url_not_looked_at_again,
        favour={"erase": 6},
    ),
    Rule(
        name="both are looked at again at each retry",
        leave_out=repeats.not_looked_at_at_each_retry,
        favour={"failure": 6, "suspend": 3, "erase": 4},
        seed=6,
    ),
    Rule(
        name="one match is chosen among those that still stand",
        leave_out=omit.choose_before_looking,
        sequence=sequences.a_change_while_a_match_is_tried_again,
    ),
    Rule(
        name="an erasure is remembered while a match is on its way",
        leave_out=omit.marks_dropped_while_matching,
        sequence=sequences.an_erasure_while_a_match_is_tried_again,
    ),
    # The register
    Rule(
        name="only a higher revision is applied",
        leave_out=omit.any_revision,
        favour={"repeat": 4, "suspend": 3, "relay": 10},
        seed=33,
    ),
    Rule(
        name="revisions of what is withdrawn are remembered",
        leave_out=omit.withdrawals_forgotten,
        favour={"repeat": 4, "suspend": 3, "withdraw": 2, "relay": 10},
        seed=38,
    ),
    Rule(
        name="a bare tombstone means withdrawn",
        leave_out=omit.tombstone_means_nothing,
        favour={"bury": 5, "withdraw": 4, "stall": 4, "compact": 4, "hours": 1.5, "relay": 12},
        steps=250,
        seed=19,
    ),
    Rule(
        name="suspended content leaves the register",
        leave_out=omit.suspended_stays,
        favour={"suspend": 3, "relay": 10},
        seed=3,
    ),
    Rule(
        name="what returns or changes is scanned again",
        leave_out=omit.only_content_never_met_is_scanned,
        favour={"suspend": 3, "resume": 4, "change": 3, "relay": 10},
        seed=17,
    ),
    # Those beside the matcher
    Rule(
        name="the content relay publishes the current row",
        without={"relay_reads_current_row": False},
        favour={**_UPSET, "relay_stalls": 5, "relay_wakes": 5},
        steps=200,
        seed=94,
    ),
    Rule(
        name="a replay of content goes through the outbox",
        without={"content_replay_goes_through_outbox": False},
        favour={**_UPSET, "replay_content": 4},
        steps=200,
        seed=1,
    ),
    Rule(
        name="a replay of a sighting appends it again",
        without={"sightings_replay_appends": False},
        sequence=sequences.a_repaired_sighting_outlives_its_process,
    ),
)
