//! A proxy in front of an echo: what passes, what does not, and when.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A server that sends back whatever it gets, behind a proxy.
fn echo() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::listen().unwrap();
    proxy.forward_to(listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut from = stream.unwrap();
            let mut to = from.try_clone().unwrap();
            thread::spawn(move || {
                std::io::copy(&mut from, &mut to).ok();
                to.shutdown(Shutdown::Write).ok();
            });
        }
    });
    proxy
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends some bytes and returns how long they take to come back.
fn round_trip(stream: &mut TcpStream, bytes: usize) -> std::io::Result<Duration> {
    let sent: Vec<u8> = (0..=255).cycle().take(bytes).collect();
    let start = std::time::Instant::now();
    stream.write_all(&sent)?;
    let mut came = vec![0; bytes];
    stream.read_exact(&mut came)?;
    assert_eq!(came, sent);
    Ok(start.elapsed())
}

#[test]
fn bytes_and_ends_pass_unchanged() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    for bytes in [1, 1_000, 200_000] {
        round_trip(&mut stream, bytes).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn latency_delays_and_does_not_throttle() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    let latency = Duration::from_millis(100);
    let bad = proxy.become_bad(Line { latency, ..Line::default() });
    let slow = round_trip(&mut stream, 400_000).unwrap();
    assert!(slow >= 2 * latency, "{slow:?}");
    assert!(slow < 8 * latency, "25 chunks take {slow:?}");
    drop(bad);
    let good = round_trip(&mut stream, 1).unwrap();
    assert!(good < 2 * latency, "{good:?}");
}

#[test]
fn a_limited_line_takes_its_time() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    let _bad = proxy.become_bad(Line { bytes_per_s: Some(100_000), ..Line::default() });
    let took = round_trip(&mut stream, 64 << 10).unwrap();
    assert!(took > Duration::from_millis(400), "{took:?}");
}

#[test]
fn a_cut_resets_what_exists_and_leaves_what_comes() {
    let proxy = echo();
    let mut stream = connect(&proxy);
    round_trip(&mut stream, 10).unwrap();
    proxy.cut();
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    round_trip(&mut connect(&proxy), 10).unwrap();
}

#[test]
fn a_refusing_proxy_resets_new_connections_only() {
    let proxy = echo();
    let mut old = connect(&proxy);
    round_trip(&mut old, 10).unwrap();
    let bad = proxy.become_bad(Line { refuses: true, ..Line::default() });
    assert!(round_trip(&mut connect(&proxy), 10).is_err());
    round_trip(&mut old, 10).unwrap();
    drop(bad);
    round_trip(&mut connect(&proxy), 10).unwrap();
}

#[test]
fn a_black_hole_keeps_silent_until_it_ends() {
    let proxy = echo();
    let mut old = connect(&proxy);
    round_trip(&mut old, 10).unwrap();
    let bad = proxy.become_bad(Line { swallows: true, ..Line::default() });
    let mut new = connect(&proxy);
    for stream in [&mut old, &mut new] {
        stream.write_all(b"hello").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let error = stream.read(&mut [0]).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    drop(bad);
    for stream in [&mut old, &mut new] {
        let mut came = [0; 5];
        stream.read_exact(&mut came).unwrap();
        assert_eq!(&came, b"hello");
    }
}

#[test]
fn a_server_that_is_down_looks_down() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = Proxy::listen().unwrap();
    proxy.forward_to(nowhere);
    assert!(round_trip(&mut connect(&proxy), 10).is_err());
}
