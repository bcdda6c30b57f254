//! Ports that are free on every address of a cluster, outside the range that outgoing connections
//! use.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use crate::error::StackError;

/// Loopback addresses, hence the most nodes a cluster can have.
pub(crate) const NODES_MAX: usize = 3;

/// Candidates. Below the ephemeral range of Linux and macOS: a client that keeps connecting to a
/// server that is down would sooner or later be given the server's own port as its source port, and
/// keep the server from coming back.
const CANDIDATES: Range<u16> = 20_000..32_000;

const TRIES_MAX: usize = 100;

/// The address of a cluster's node, counted from 0: 127.0.0.1, 127.0.0.2, 127.0.0.3.
pub(crate) fn address(node: usize) -> IpAddr {
    let last = u8::try_from(node + 1).expect("a cluster has at most three nodes");
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

/// Finds a port that is free on the addresses of all nodes and is none of `others`; with `fixed`,
/// checks that one.
pub(crate) fn pick(
    server: &'static str,
    nodes: usize,
    fixed: Option<u16>,
    others: &[u16],
) -> Result<u16, StackError> {
    if let Some(port) = fixed {
        return match first_taken(port, nodes)? {
            Some(address) => Err(StackError::PortTaken { server, address }),
            None => Ok(port),
        };
    }
    let mut candidate = random_candidate();
    for _ in 0..TRIES_MAX {
        if !others.contains(&candidate) && first_taken(candidate, nodes)?.is_none() {
            return Ok(candidate);
        }
        candidate = random_candidate();
    }
    Err(StackError::NoFreePort { server, tried: TRIES_MAX })
}

/// The first of the nodes' addresses where the port is in use.
fn first_taken(port: u16, nodes: usize) -> Result<Option<SocketAddr>, StackError> {
    for node in 0..nodes {
        let socket = SocketAddr::new(address(node), port);
        match TcpListener::bind(socket) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(Some(socket)),
            Err(source) => {
                return Err(StackError::Loopback { address: socket.ip(), source });
            }
        }
    }
    Ok(None)
}

fn random_candidate() -> u16 {
    // A fresh `RandomState` is keyed at random, so its empty hash is a random number.
    let random = RandomState::new().build_hasher().finish();
    let width = u64::from(CANDIDATES.end - CANDIDATES.start);
    CANDIDATES.start + u16::try_from(random % width).expect("the range is a part of u16")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named() {
        let listener = TcpListener::bind((address(1), 0)).unwrap();
        let port = listener.local_addr().unwrap().port();

        let error = pick("kafka", 3, Some(port), &[]).unwrap_err();

        let text = error.to_string();
        assert!(text.contains(&format!("port {port} for kafka is taken on 127.0.0.2")), "{text}");
    }

    #[test]
    fn a_free_port_can_be_bound_on_all_addresses_and_is_none_of_the_others() {
        let first = pick("kafka", 3, None, &[]).unwrap();
        let second = pick("kafka", 3, None, &[first]).unwrap();
        assert_ne!(first, second);
        let listeners: Vec<_> =
            (0..3).map(|node| TcpListener::bind((address(node), second)).unwrap()).collect();
        assert_eq!(listeners.len(), 3);
    }
}
