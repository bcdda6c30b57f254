//! Windows and alerts over the readings of a Kafka topic, equal to a batch computation over it.

pub mod detect;
