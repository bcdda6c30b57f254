//! Up to which time Kafka has all events: they are sent in order of time and acknowledged in any.

use std::collections::VecDeque;

use domain::simulation::report::EventSpan;

/// Up to which time the events of a run were sent, and up to which Kafka has them.
#[derive(Debug)]
pub(crate) struct EventLedger {
    /// Time of the event that is being sent or waited for: all before it were sent.
    sent_to_ms: i64,
    /// Number of the oldest event that is not settled.
    base: u64,
    /// Time of each event from `base` on, and whether it is settled.
    under_way: VecDeque<(i64, bool)>,
    /// Time of the first event that Kafka refused for good.
    refused_ms: Option<i64>,
}

impl EventLedger {
    /// Starts with nothing sent of a run that begins at `start_ms`.
    pub(crate) fn new(start_ms: i64) -> Self {
        Self { sent_to_ms: start_ms, base: 0, under_way: VecDeque::new(), refused_ms: None }
    }

    /// Notes that every event of before this time was sent.
    pub(crate) fn come_to(&mut self, ts_ms: i64) {
        self.sent_to_ms = ts_ms;
    }

    /// Notes that an event is about to be handed over; returns its number.
    pub(crate) fn leave(&mut self, ts_ms: i64) -> u64 {
        self.under_way.push_back((ts_ms, false));
        self.base + self.under_way.len() as u64 - 1
    }

    /// Notes that the event which left last was not taken.
    pub(crate) fn turn_back(&mut self) {
        self.under_way.pop_back();
    }

    /// Returns a number that no event under way is below.
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    /// Notes that Kafka has an event, or, if it `is_refused`, never will.
    pub(crate) fn settle(&mut self, number: u64, is_refused: bool) {
        let position = number.checked_sub(self.base).and_then(|ahead| usize::try_from(ahead).ok());
        let Some(entry) = position.and_then(|position| self.under_way.get_mut(position)) else {
            return;
        };
        entry.1 = true;
        if is_refused {
            let ts_ms = entry.0;
            self.refused_ms = Some(self.refused_ms.map_or(ts_ms, |first_ms| first_ms.min(ts_ms)));
        }
        while self.under_way.pop_front_if(|(_, is_settled)| *is_settled).is_some() {
            self.base += 1;
        }
    }

    /// Returns which events Kafka has.
    pub(crate) fn span(&self) -> EventSpan {
        let sent_to_ms = self.sent_to_ms;
        let oldest_ms = self.under_way.front().map(|(ts_ms, _)| *ts_ms);
        let open_ms = [oldest_ms, self.refused_ms].into_iter().flatten().min();
        let acknowledged_to_ms = open_ms.map_or(sent_to_ms, |open_ms| open_ms.min(sent_to_ms));
        EventSpan { acknowledged_to_ms, sent_to_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends events of the times 10, 20, ..., and returns their numbers.
    fn send(ledger: &mut EventLedger, times: std::ops::Range<i64>) -> Vec<u64> {
        let leave = |time: i64| {
            ledger.come_to(10 * time);
            ledger.leave(10 * time)
        };
        times.map(leave).collect()
    }

    fn span(acknowledged_to_ms: i64, sent_to_ms: i64) -> EventSpan {
        EventSpan { acknowledged_to_ms, sent_to_ms }
    }

    #[test]
    fn kafka_has_all_events_before_the_oldest_under_way() {
        let mut ledger = EventLedger::new(5);
        assert_eq!(ledger.span(), span(5, 5));
        let numbers = send(&mut ledger, 1..5);
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!(ledger.span(), span(10, 40));
        ledger.settle(1, false);
        assert_eq!((ledger.span(), ledger.base()), (span(10, 40), 0));
        ledger.settle(0, false);
        assert_eq!((ledger.span(), ledger.base()), (span(30, 40), 2));
        for number in [3, 2, 2] {
            ledger.settle(number, false);
        }
        assert_eq!(ledger.span(), span(40, 40), "events of the last time may follow");
        ledger.come_to(50);
        assert_eq!(ledger.span(), span(50, 50));
    }

    #[test]
    fn what_was_not_taken_was_not_sent() {
        let mut ledger = EventLedger::new(0);
        send(&mut ledger, 1..2);
        ledger.settle(0, false);
        ledger.come_to(20);
        for _ in 0..3 {
            assert_eq!(ledger.leave(20), 1);
            ledger.turn_back();
        }
        assert_eq!(ledger.span(), span(20, 20));
    }

    #[test]
    fn what_kafka_refused_is_never_acknowledged_and_takes_no_memory() {
        let mut ledger = EventLedger::new(0);
        let numbers = send(&mut ledger, 1..1_000);
        for number in numbers {
            ledger.settle(number, number == 6 || number == 8);
        }
        ledger.come_to(20_000);
        assert_eq!(ledger.span(), span(70, 20_000));
        assert!(ledger.under_way.is_empty());
    }
}
