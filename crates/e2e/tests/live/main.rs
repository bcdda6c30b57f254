//! Claims about the whole pipeline, each proved with the released programs on real servers.

#![allow(clippy::unwrap_used, reason = "a test panics where something is not as it should be")]

mod a_backlog_is_drained_fast;
mod a_clean_stop_loses_and_repeats_nothing;
mod a_topic_may_grow;
mod commits_are_confirmed;
mod consumers_share_the_partitions;
mod dead_letters_can_be_sent_back;
mod events_are_stored;
mod every_acknowledged_reading_is_a_row;
mod faults_on_the_way_are_explained;
mod foreign_producers_are_stored;
mod misuse_is_named;
mod no_record_ends_a_program;
mod nothing_goes_by_in_silence;
mod nothing_is_lost_under_faults;
mod one_whole_row_stays;
mod only_the_row_to_blame_is_refused;
mod outages_are_waited_out;
mod producers_share_a_run;
mod readings_are_readable_soon;
mod reports_are_readable;
mod silence_closes_windows;
mod the_benchmark_measures;
mod the_tables_beside_the_readings_are_proved;
mod up_leaves_nothing_behind;
mod up_takes_every_setting;
mod what_cannot_be_read_is_named;
mod what_refuses_every_row_blames_none;
mod what_strangers_write_is_shown;
mod windows_survive_kills;
