//! The least of a Kafka and of a CQL client that can write something and find it again.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) const ONE: u16 = 1;
pub(crate) const QUORUM: u16 = 4;

fn connect(address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    Ok(stream)
}

/// Runs one CQL statement and returns the result's body.
pub(crate) fn cql(address: SocketAddr, consistency: u16, statement: &str) -> io::Result<Vec<u8>> {
    cql_within(address, consistency, statement, Duration::from_secs(20))
}

pub(crate) fn cql_within(
    address: SocketAddr,
    consistency: u16,
    statement: &str,
    timeout: Duration,
) -> io::Result<Vec<u8>> {
    let mut stream = connect(address, timeout)?;
    let (opcode, _) = frame(&mut stream, 0x01, b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0")?;
    assert_eq!(opcode, 0x02, "the node is not ready");
    let mut body = Vec::from(u32::try_from(statement.len()).unwrap().to_be_bytes());
    body.extend_from_slice(statement.as_bytes());
    body.extend_from_slice(&consistency.to_be_bytes());
    body.push(0);
    let (opcode, body) = frame(&mut stream, 0x07, &body)?;
    if opcode == 0x08 {
        return Ok(body);
    }
    Err(io::Error::other(String::from_utf8_lossy(&body).into_owned()))
}

fn frame(stream: &mut TcpStream, opcode: u8, body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
    let mut request = vec![4, 0, 0, 0, opcode];
    request.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    request.extend_from_slice(body);
    stream.write_all(&request)?;
    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    let mut answer = vec![0; u32::from_be_bytes(header[5..].try_into().unwrap()) as usize];
    stream.read_exact(&mut answer)?;
    Ok((header[4], answer))
}

/// Creates a topic of one partition with `replicas` replicas.
pub(crate) fn create_topic(address: SocketAddr, name: &str, replicas: u8) {
    let mut body = vec![0, 0, 0, 1];
    body.extend_from_slice(&string(name));
    body.extend_from_slice(&[0, 0, 0, 1, 0, replicas]); // partitions, replication factor
    body.extend_from_slice(&[0; 8]); // no assignments, no settings
    body.extend_from_slice(&10_000_u32.to_be_bytes()); // timeout in ms
    body.push(0); // do it, not just validate
    let answer = kafka(address, 19, 2, &body).unwrap();
    // Correlation id, throttle time, count, name; then the error.
    let error = &answer[4 + 4 + 4 + 2 + name.len()..][..2];
    assert_eq!(error, [0, 0], "cannot create topic {name}: {answer:?}");
}

/// Tells whether the broker knows the topic and its leader.
pub(crate) fn has_topic(address: SocketAddr, name: &str) -> bool {
    let mut body = vec![0, 0, 0, 1];
    body.extend_from_slice(&string(name));
    body.push(0); // do not create it
    let answer = kafka(address, 3, 4, &body).unwrap();
    let mut entry = vec![0, 0]; // no error
    entry.extend_from_slice(&string(name));
    answer.windows(entry.len()).any(|window| window == entry)
}

/// Asks for the broker's API versions.
pub(crate) fn api_versions(address: SocketAddr, timeout: Duration) -> io::Result<Vec<u8>> {
    kafka_within(address, 18, 0, &[], timeout)
}

fn kafka(address: SocketAddr, key: u8, version: u8, body: &[u8]) -> io::Result<Vec<u8>> {
    kafka_within(address, key, version, body, Duration::from_secs(20))
}

fn kafka_within(
    address: SocketAddr,
    key: u8,
    version: u8,
    body: &[u8],
    timeout: Duration,
) -> io::Result<Vec<u8>> {
    let mut stream = connect(address, timeout)?;
    let mut request = vec![0, key, 0, version, 0, 0, 0, 1];
    request.extend_from_slice(&string("test"));
    request.extend_from_slice(body);
    stream.write_all(&u32::try_from(request.len()).unwrap().to_be_bytes())?;
    stream.write_all(&request)?;
    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let mut answer = vec![0; u32::from_be_bytes(size) as usize];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::from(u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes
}
