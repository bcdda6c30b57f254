//! What must hold of a process after every write that ends and after every turn.

use super::super::super::{Ended, Ticket, Write};
use super::{Process, RECORDS_PER_TURN_MAX};

impl Process {
    /// Notes what a write of the present epoch has done.
    pub(super) fn note_done(&mut self, ticket: Ticket, write: &Write, ended: &Ended) {
        let taken = self.lanes.get_mut(&ticket.partition);
        let taken = taken.filter(|taken| taken.epoch == ticket.epoch && *ended == Ended::Durable);
        match (taken, write) {
            (Some(taken), Write::Rows(batch)) => {
                for offset in batch.offsets() {
                    taken.open.remove(&offset.0);
                }
            }
            (Some(taken), Write::DeadLetter(letter)) => {
                taken.open.remove(&letter.offset.0);
            }
            (Some(_), Write::Site(_)) | (None, _) => {}
        }
    }

    /// I1, I4: only writes of this epoch make offsets durable, and each of them does.
    pub(super) fn check_durable(&self, partition: i32) {
        let (Some(durable), Some(taken)) =
            (self.pipeline.durable(partition), self.lanes.get(&partition))
        else {
            return;
        };
        if taken.first.is_some() {
            let expected = taken.open.first().copied().unwrap_or(taken.position);
            assert_eq!(durable.0, expected, "I4: durable of partition {partition}");
        }
    }

    /// I6, after every turn.
    pub(super) fn check(&self) {
        let rows = self.pipeline.rows_buffered();
        assert!(rows >= self.rows_under_way, "{rows} rows, {} under way", self.rows_under_way);
        let most = self.limits.rows_buffered_max + RECORDS_PER_TURN_MAX;
        assert!(rows <= most, "I6: {rows} rows in memory, {most} at most");
        assert_eq!(self.writes_under_way, self.pipeline.in_flight(), "I6: writes under way");
        assert!(self.writes_under_way <= self.limits.writes_in_flight_max, "I6");
        assert!(self.letters_under_way <= super::super::super::DEAD_LETTERS_IN_FLIGHT_MAX, "I6");
        if self.lanes.is_empty() {
            assert_eq!(rows, self.rows_under_way, "I6: rows of no partition");
        }
    }
}
