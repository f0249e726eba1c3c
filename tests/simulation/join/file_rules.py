"""The rules of starting again from files, each with the way to leave it out and the sequence in which that is noticed."""

from __future__ import annotations

from tests.simulation.join import file_omissions as omit
from tests.simulation.join import file_sequences as sequences
from tests.simulation.join.omissions import no_age, no_erasures_ahead
from tests.simulation.join.rules import Rule

FILE_RULES: tuple[Rule, ...] = (
    Rule(
        name="revisions and withdrawals are kept in a register's file",
        leave_out=omit.withdrawals_not_in_the_file,
        sequence=sequences.a_repeat_of_what_a_file_has_as_withdrawn,
    ),
    Rule(
        name="a register's file of another log counts as none",
        leave_out=omit.register_of_any_log,
        sequence=sequences.a_register_of_another_log,
    ),
    Rule(
        name="a register's file ahead of its log's end counts as none",
        leave_out=omit.register_ahead_of_its_log,
        sequence=sequences.a_register_ahead_of_its_log,
    ),
    Rule(
        name="a history's files of another log count as none",
        leave_out=omit.history_of_any_log,
        sequence=sequences.a_history_of_another_log,
    ),
    Rule(
        name="a history's files ahead of their log's end count as none",
        leave_out=omit.history_ahead_of_its_log,
        sequence=sequences.a_history_ahead_of_its_log,
    ),
    Rule(
        name="a register too long away from the log's end is rebuilt",
        leave_out=no_age,
        sequence=sequences.a_file_of_a_register_that_lags,
    ),
    Rule(
        name="age counts from when the register was at the log's end, not from its file's date",
        leave_out=omit.age_from_the_date_of_the_file,
        sequence=sequences.a_file_of_a_register_that_lags,
    ),
    Rule(
        name="a history that has not heard of erasures while they are told is read anew",
        leave_out=omit.history_of_any_age,
        always={"redacts": True},
        sequence=sequences.an_erasure_that_is_told_no_more,
    ),
    Rule(
        name="erasures up to the partition's end are applied after a history is recalled from its files",
        leave_out=no_erasures_ahead,
        sequence=sequences.an_erasure_at_the_end_of_the_log,
    ),
    Rule(
        name="what has left a segment is not in it after a restart",
        leave_out=omit.what_died_is_not_in_the_file,
        sequence=sequences.an_erasure_from_a_segment,
    ),
    Rule(
        name="C comes from the commit, never from a file",
        leave_out=omit.content_offset_in_the_file,
        sequence=sequences.content_log_anew_while_all_is_down,
    ),
    Rule(
        name="a file of which a bit has turned counts as none",
        leave_out=omit.files_are_believed,
        sequence=sequences.a_register_of_which_bits_have_turned,
    ),
    Rule(
        name="a history of which a part is gone counts as none",
        leave_out=omit.what_is_gone_was_empty,
        sequence=sequences.a_history_of_which_a_part_is_gone,
    ),
    Rule(
        name="a damaged file stops nobody",
        leave_out=omit.damage_is_an_error,
        sequence=sequences.files_cut_short,
    ),
)
