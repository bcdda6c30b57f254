//! The cases, in the order in which they run.

mod analytics;
mod consumer;
mod generation;
mod latency;
mod memory;
mod micro;
mod pacing;
mod pipeline;
mod producer;
mod scaling;
mod start_up;

use crate::case::Case;

/// Returns all cases.
pub fn all() -> Vec<Box<dyn Case>> {
    vec![
        Box::new(start_up::StartUp),
        Box::new(generation::Generation),
        Box::new(micro::Micro),
        Box::new(producer::Producer::default()),
        Box::new(memory::Memory),
        Box::new(pacing::Pacing),
        // Leaves a Cassandra behind that is as good as warm, which is what the next case needs.
        Box::new(scaling::Scaling::default()),
        Box::new(consumer::Consumer::default()),
        Box::new(analytics::Analytics::default()),
        Box::new(pipeline::Pipeline::default()),
        Box::new(latency::Latency::default()),
    ]
}
