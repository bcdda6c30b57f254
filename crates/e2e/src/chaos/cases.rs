//! The ordinary cases: one thing goes wrong under load and is healed.

use std::time::Duration;

use anyhow::{Context, Result};
use localstack::Node;
use rdkafka::ClientConfig;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;

use super::member::Member;
use super::scene::{PATIENCE, Scene};
use super::{Case, letters, ordinary};
use crate::proxy::{Line, Proxy};

/// A pause that nobody has to notice.
const SHORT: Duration = Duration::from_secs(5);
/// Longer than the session timeout, the request timeout of Cassandra's clients and the broker's
/// patience with a member.
const LONG: Duration = Duration::from_secs(15);
/// A fault comes at a random moment of this span.
pub(super) const MOMENT: Duration = Duration::from_secs(1);

const fn everywhere(
    name: &'static str,
    about: &'static str,
    play: fn(&mut Scene<'_>) -> Result<()>,
) -> Case {
    Case { name, about, nodes: &[1, 3], heavy: false, play }
}

const fn cluster(
    name: &'static str,
    about: &'static str,
    play: fn(&mut Scene<'_>) -> Result<()>,
) -> Case {
    Case { name, about, nodes: &[3], heavy: false, play }
}

/// Cases for one node of each kind, some for three as well.
pub(super) const ALL: &[Case] = &[
    everywhere("consumer-kill", "the only consumer is killed and another one started", |scene| {
        under_load(scene, |scene| {
            scene.kill_consumer(0)?;
            scene.start_consumer()
        })
    }),
    ordinary(
        "consumer-term",
        "the only consumer is asked to stop and another one started",
        |scene| {
            under_load(scene, |scene| {
                scene.stop_consumer(0)?;
                scene.start_consumer()
            })
        },
    ),
    ordinary("consumer-pause", "the only consumer is frozen for 5 s", |scene| {
        under_load(scene, |scene| freeze(scene, consumer, SHORT))
    }),
    ordinary(
        "consumer-pause-long",
        "one of two consumers is frozen until the other has taken over",
        |scene| {
            scene.start_consumer()?;
            under_load(scene, |scene| {
                scene.await_shared()?;
                freeze(scene, consumer, LONG)
            })
        },
    ),
    ordinary("producer-kill", "the producer is killed and started anew", |scene| {
        under_load(scene, |scene| {
            scene.kill_producer()?;
            scene.start_producer()
        })
    }),
    ordinary("producer-term", "the producer is asked to stop and started anew", |scene| {
        under_load(scene, |scene| {
            scene.stop_producer()?;
            scene.start_producer()
        })
    }),
    ordinary("producer-pause", "the producer is frozen for 5 s", |scene| {
        under_load(scene, |scene| freeze(scene, Scene::producer, SHORT))
    }),
    ordinary("producer-pause-long", "the producer is frozen for 15 s", |scene| {
        under_load(scene, |scene| freeze(scene, Scene::producer, LONG))
    }),
    ordinary("kafka-kill", "Kafka is killed and started again", |scene| {
        under_load(scene, |scene| kill(scene, kafka(scene)))
    }),
    ordinary("kafka-term", "Kafka is stopped in good order and started again", |scene| {
        under_load(scene, |scene| Ok(kafka(scene).restart()?))
    }),
    ordinary("kafka-pause", "Kafka is frozen for 5 s", |scene| {
        under_load(scene, |scene| pause(scene, kafka(scene), SHORT))
    }),
    ordinary("kafka-pause-long", "Kafka is frozen for 15 s", |scene| {
        under_load(scene, |scene| pause(scene, kafka(scene), LONG))
    }),
    ordinary("cassandra-kill", "Cassandra is killed and started again", |scene| {
        under_load(scene, |scene| kill(scene, cassandra(scene)))
    }),
    ordinary("cassandra-term", "Cassandra is stopped in good order and started again", |scene| {
        under_load(scene, |scene| Ok(cassandra(scene).restart()?))
    }),
    ordinary("cassandra-pause", "Cassandra is frozen for 5 s", |scene| {
        under_load(scene, |scene| pause(scene, cassandra(scene), SHORT))
    }),
    ordinary("cassandra-pause-long", "Cassandra is frozen for 15 s", |scene| {
        under_load(scene, |scene| pause(scene, cassandra(scene), LONG))
    }),
    ordinary("storm", "1, then 6, then 2 consumers, which come and go every few seconds", storm),
    ordinary(
        "kafka-slow",
        "the way to Kafka takes 100 ms longer and carries 2 MB/s for 10 s",
        |scene| through_kafka_proxy(scene, |scene| slow(scene, &scene.servers().kafka_proxy)),
    ),
    ordinary(
        "kafka-cut",
        "all connections to Kafka are reset five times, then none is let in for 3 s",
        |scene| through_kafka_proxy(scene, |scene| cut(scene, &scene.servers().kafka_proxy)),
    ),
    ordinary("kafka-silent", "the way to Kafka swallows everything for 15 s", |scene| {
        through_kafka_proxy(scene, |scene| swallow(scene, &scene.servers().kafka_proxy))
    }),
    ordinary(
        "cassandra-slow",
        "the way to Cassandra takes 100 ms longer and carries 2 MB/s for 10 s",
        |scene| {
            through_cassandra_proxy(scene, |scene| slow(scene, &scene.servers().cassandra_proxy))
        },
    ),
    ordinary(
        "cassandra-cut",
        "all connections to Cassandra are reset five times, then none is let in for 3 s",
        |scene| {
            through_cassandra_proxy(scene, |scene| cut(scene, &scene.servers().cassandra_proxy))
        },
    ),
    ordinary("cassandra-silent", "the way to Cassandra swallows everything for 15 s", |scene| {
        through_cassandra_proxy(scene, |scene| swallow(scene, &scene.servers().cassandra_proxy))
    }),
    ordinary(
        "every-row-refused",
        "the table is altered so that Cassandra refuses every row, and back",
        every_row_refused,
    ),
    everywhere(
        "restart-all",
        "consumer, Kafka and Cassandra are all killed and started again",
        restart_all,
    ),
];

/// Cases for three nodes of each kind.
pub(super) const CLUSTER: &[Case] = &[
    cluster(
        "cassandra-node-kill",
        "one Cassandra node of three is killed and started again",
        |scene| under_load(scene, |scene| kill_one(scene, Scene::a_cassandra)),
    ),
    cluster(
        "cassandra-node-down",
        "one Cassandra node of three is down for the whole run",
        |scene| {
            let node = scene.a_cassandra();
            one_down(scene, node)
        },
    ),
    cluster("cassandra-node-pause", "one Cassandra node of three is frozen for 15 s", |scene| {
        under_load(scene, |scene| {
            let node = scene.a_cassandra();
            pause(scene, node, LONG)
        })
    }),
    cluster("broker-kill", "one broker of three is killed and started again", |scene| {
        under_load(scene, |scene| kill_one(scene, Scene::a_broker))
    }),
    cluster("broker-down", "one broker of three is down for the whole run", |scene| {
        let node = scene.a_broker();
        one_down(scene, node)
    }),
    cluster("broker-pause", "one broker of three is frozen for 15 s", |scene| {
        under_load(scene, |scene| {
            let node = scene.a_broker();
            pause(scene, node, LONG)
        })
    }),
];

/// Starts a consumer and a producer, does the harm once rows flow, and waits for the recovery.
pub(super) fn under_load(
    scene: &mut Scene<'_>,
    harm: impl FnOnce(&mut Scene<'_>) -> Result<()>,
) -> Result<()> {
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.calm()?;
    scene.pass_up_to(MOMENT)?;
    harm(scene)?;
    scene.recover()?;
    scene.stop_producer()
}

fn kafka<'a>(scene: &Scene<'a>) -> &'a Node {
    scene.servers().stack.kafka(0)
}

fn cassandra<'a>(scene: &Scene<'a>) -> &'a Node {
    scene.servers().stack.cassandra(0)
}

impl<'a> Scene<'a> {
    fn a_broker(&mut self) -> &'a Node {
        let index = self.below(self.servers().nodes);
        self.servers().stack.kafka(index)
    }

    fn a_cassandra(&mut self) -> &'a Node {
        let index = self.below(self.servers().nodes);
        self.servers().stack.cassandra(index)
    }
}

fn consumer<'s>(scene: &'s mut Scene<'_>) -> Result<&'s mut Member> {
    scene.consumers().first_mut().context("a consumer runs")
}

fn freeze<'a>(
    scene: &mut Scene<'a>,
    who: impl for<'s> Fn(&'s mut Scene<'a>) -> Result<&'s mut Member>,
    time: Duration,
) -> Result<()> {
    who(scene)?.pause()?;
    scene.pass(time)?;
    who(scene)?.resume()
}

fn pause(scene: &mut Scene<'_>, node: &Node, time: Duration) -> Result<()> {
    node.pause()?;
    scene.pass(time)?;
    Ok(node.resume()?)
}

fn kill(scene: &mut Scene<'_>, node: &Node) -> Result<()> {
    node.kill()?;
    scene.pass_up_to(MOMENT)?;
    Ok(node.start()?)
}

fn kill_one<'a>(scene: &mut Scene<'a>, choose: impl Fn(&mut Scene<'a>) -> &'a Node) -> Result<()> {
    let node = choose(scene);
    node.kill()?;
    // Long enough for the others to notice.
    scene.pass(SHORT)?;
    Ok(node.start()?)
}

fn one_down(scene: &mut Scene<'_>, node: &Node) -> Result<()> {
    node.kill()?;
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.flow(2)?;
    scene.recover()?;
    scene.flow(5)?;
    scene.stop_producer()?;
    // The proof must not need the third either.
    scene.prove()
}

fn storm(scene: &mut Scene<'_>) -> Result<()> {
    under_load(scene, |scene| {
        for _ in 0..5 {
            scene.start_consumer()?;
            scene.pass_up_to(2 * MOMENT)?;
        }
        scene.pass(SHORT)?;
        for _ in 0..4 {
            let running = scene.consumers().len();
            let index = scene.below(running);
            scene.stop_consumer(index)?;
            scene.pass_up_to(2 * MOMENT)?;
        }
        scene.await_shared()
    })
}

fn through_kafka_proxy(
    scene: &mut Scene<'_>,
    harm: impl FnOnce(&mut Scene<'_>) -> Result<()>,
) -> Result<()> {
    let proxy = &scene.servers().kafka_proxy;
    scene.detour("KAFKA_BOOTSTRAP_SERVERS", proxy.address());
    under_load(scene, harm)
}

pub(super) fn through_cassandra_proxy(
    scene: &mut Scene<'_>,
    harm: impl FnOnce(&mut Scene<'_>) -> Result<()>,
) -> Result<()> {
    let proxy = &scene.servers().cassandra_proxy;
    scene.detour("CASSANDRA_CONTACT_POINTS", proxy.address());
    under_load(scene, harm)
}

fn slow(scene: &mut Scene<'_>, proxy: &Proxy) -> Result<()> {
    let latency = Duration::from_millis(100);
    let _bad = proxy.become_bad(Line { latency, bytes_per_s: Some(2_000_000), ..Line::default() });
    scene.pass(2 * SHORT)
}

fn cut(scene: &mut Scene<'_>, proxy: &Proxy) -> Result<()> {
    let before = proxy.accepted();
    for _ in 0..5 {
        proxy.cut();
        scene.pass_up_to(2 * MOMENT)?;
    }
    let bad = proxy.become_bad(Line { refuses: true, ..Line::default() });
    proxy.cut();
    scene.pass(3 * MOMENT)?;
    drop(bad);
    let made = proxy.accepted() - before;
    anyhow::ensure!(made > 0, "nobody came through the proxy");
    scene.note(format!("{made} connections made after the first cut"));
    Ok(())
}

fn swallow(scene: &mut Scene<'_>, proxy: &Proxy) -> Result<()> {
    let _bad = proxy.become_bad(Line { swallows: true, ..Line::default() });
    scene.pass(LONG)
}

pub(super) fn admin(scene: &Scene<'_>) -> Result<AdminClient<DefaultClientContext>> {
    let servers = scene.trial().setting("KAFKA_BOOTSTRAP_SERVERS");
    Ok(ClientConfig::new().set("bootstrap.servers", servers).create()?)
}

/// Twenty years from now are past what Cassandra can express in the format that it writes.
fn every_row_refused(scene: &mut Scene<'_>) -> Result<()> {
    const REFUSAL: &str = "cassandra refuses every write to readings";
    let alter = |scene: &Scene<'_>, time_to_live_s: u32| {
        let set = format!("ALTER TABLE readings WITH default_time_to_live = {time_to_live_s}");
        scene.trial().database()?.execute(&set)
    };
    under_load(scene, |scene| {
        alter(scene, 20 * 365 * 86_400)?;
        scene.await_refusal(REFUSAL, PATIENCE)?;
        // Nor does another one begin.
        scene.start_consumer()?;
        scene.await_refusal(REFUSAL, PATIENCE)?;
        alter(scene, 86_400)?;
        let servers = scene.trial().setting("KAFKA_BOOTSTRAP_SERVERS");
        let letters = letters::read(servers, scene.trial().dead_letter_topic())?;
        anyhow::ensure!(letters.is_empty(), "{} records were blamed", letters.len());
        scene.start_consumer()
    })
}

/// The producer is stopped first: what it has not got acknowledged is not the subject here.
fn restart_all(scene: &mut Scene<'_>) -> Result<()> {
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.calm()?;
    scene.pass_up_to(MOMENT)?;
    scene.stop_producer()?;
    scene.kill_consumer(0)?;
    for node in scene.servers().stack.nodes() {
        node.kill()?;
    }
    scene.servers().start_what_is_down()?;
    scene.start_consumer()?;
    scene.start_producer()?;
    scene.recover()?;
    scene.stop_producer()
}
