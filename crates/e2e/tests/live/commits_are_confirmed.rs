//! A commit that fails for one partition has failed: what is believed to be committed is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{Trial, shared_stack, turn};
use rdkafka::consumer::{BaseConsumer, DefaultConsumerContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use runtime::kafka::committer::Committer;

const WAIT: Duration = Duration::from_secs(30);

/// Method: Kafka refuses metadata that is too long, of each partition on its own.
#[test]
fn a_commit_that_fails_for_one_partition_has_failed() {
    let _turn = turn();
    let stack = shared_stack().unwrap();
    let mut trial = Trial::new(stack).unwrap();
    trial.set("PRODUCER_READINGS", 1);
    trial.produce(WAIT).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", stack.bootstrap_servers()).set("group.id", trial.topic());
    let consumer: BaseConsumer<DefaultConsumerContext> = config.create().unwrap();
    let committer = Committer::idle();
    committer.start(Arc::new(consumer)).unwrap();

    // Whichever comes last in the answer must not hide the others.
    for refused in 0..3 {
        let mut offsets = TopicPartitionList::new();
        for partition in 0..3 {
            let mut element = offsets.add_partition(trial.topic(), partition);
            element.set_offset(Offset::Offset(1)).unwrap();
            if partition == refused {
                element.set_metadata("x".repeat(10_000));
            }
        }
        committer.commit(offsets);
        assert!(committer.wait(Instant::now() + WAIT), "the commit does not end");
        let failure = committer.take_failure().and_then(|error| error.rdkafka_error_code());
        assert_eq!(failure, Some(RDKafkaErrorCode::OffsetMetadataTooLarge), "of {refused}");
        assert_eq!(committer.take_success(), None, "of {refused}");
    }
    committer.end();
}
