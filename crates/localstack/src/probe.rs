//! Tells whether a server is ready by speaking its protocol: just enough of Kafka's and of CQL.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Longer than a cold server's first answer, shorter than any readiness timeout.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// No answer to these requests comes near this; a longer one is not from the expected server.
const ANSWER_BYTES_MAX: usize = 1 << 20;

const CLIENT_ID: &[u8] = b"localstack";

/// Checks that a broker answers, that it and at least `brokers` brokers in all take part, and that
/// one controls.
pub(crate) fn kafka(address: SocketAddr, node_id: i32, brokers: usize) -> io::Result<()> {
    const API_VERSIONS: i16 = 18;
    const METADATA: i16 = 3;
    // Metadata version 4: an empty list of topics, and do not create any.
    const NO_TOPICS: [u8; 5] = [0; 5];

    let mut stream = connect(address)?;
    let answer = kafka_request(&mut stream, API_VERSIONS, 0, &[])?;
    let error = Reader(&answer).i16()?;
    if error != 0 {
        return Err(unexpected(format!("the broker answers with error {error}")));
    }
    let answer = kafka_request(&mut stream, METADATA, 4, &NO_TOPICS)?;
    let (ids, controller) = brokers_of(&answer)?;
    if controller < 0 {
        return Err(unexpected("no controller yet".to_owned()));
    }
    if ids.len() < brokers || !ids.contains(&node_id) {
        return Err(unexpected(format!("brokers {ids:?} of {brokers} are registered")));
    }
    Ok(())
}

/// The version of a Cassandra node's schema.
pub(crate) type SchemaVersion = [u8; 16];

/// Checks that a node answers CQL, and that a read succeeds which needs `nodes` nodes (1 to 3) to
/// be alive in its eyes; returns the version of the schema it has.
pub(crate) fn cassandra(address: SocketAddr, nodes: usize) -> io::Result<SchemaVersion> {
    // Every cluster has this table, replicated three times; consistency level n needs n live
    // replicas.
    const REPLICATED: &str = "SELECT view_name FROM system_distributed.view_build_status LIMIT 1";
    const ONE: u8 = 1;

    let mut stream = connect(address)?;
    cql_expect(&mut stream, OPTIONS, &[], SUPPORTED)?;
    // The string map {"CQL_VERSION": "3.0.0"}.
    let startup = b"\x00\x01\x00\x0bCQL_VERSION\x00\x053.0.0";
    cql_expect(&mut stream, STARTUP, startup, READY)?;
    let consistency = u8::try_from(nodes.clamp(1, 3)).expect("at most three");
    cql_query(&mut stream, REPLICATED, consistency)?;
    let body = cql_query(&mut stream, "SELECT schema_version FROM system.local", ONE)?;
    // One row of one column: its value is what the body ends with.
    let version = body.last_chunk().ok_or_else(|| unexpected("no schema version".to_owned()))?;
    Ok(*version)
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_write_timeout(Some(ANSWER_TIMEOUT))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends one request with header version 1 and returns the answer behind its correlation id.
fn kafka_request(
    stream: &mut TcpStream,
    api_key: i16,
    api_version: i16,
    body: &[u8],
) -> io::Result<Vec<u8>> {
    const CORRELATION_ID: i32 = 7;
    let mut request = Vec::new();
    request.extend_from_slice(&api_key.to_be_bytes());
    request.extend_from_slice(&api_version.to_be_bytes());
    request.extend_from_slice(&CORRELATION_ID.to_be_bytes());
    request.extend_from_slice(&[0, u8::try_from(CLIENT_ID.len()).expect("a short name")]);
    request.extend_from_slice(CLIENT_ID);
    request.extend_from_slice(body);
    let mut frame = Vec::from(length(&request).to_be_bytes());
    frame.extend_from_slice(&request);
    stream.write_all(&frame)?;

    let mut size = [0; 4];
    stream.read_exact(&mut size)?;
    let answer = read_body(stream, u32::from_be_bytes(size))?;
    let mut reader = Reader(&answer);
    if reader.i32()? != CORRELATION_ID {
        return Err(unexpected("another request's answer".to_owned()));
    }
    Ok(reader.0.to_vec())
}

/// Reads the brokers' ids and the controller's out of a metadata answer of version 4.
fn brokers_of(answer: &[u8]) -> io::Result<(Vec<i32>, i32)> {
    let mut reader = Reader(answer);
    reader.i32()?; // throttle time
    let count = reader.i32()?;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(reader.i32()?);
        reader.skip_string()?; // host
        reader.i32()?; // port
        reader.skip_string()?; // rack
    }
    reader.skip_string()?; // cluster id
    Ok((ids, reader.i32()?))
}

// Opcodes of CQL frames.
const ERROR: u8 = 0x00;
const STARTUP: u8 = 0x01;
const READY: u8 = 0x02;
const OPTIONS: u8 = 0x05;
const SUPPORTED: u8 = 0x06;
const QUERY: u8 = 0x07;
const RESULT: u8 = 0x08;

fn cql_query(stream: &mut TcpStream, statement: &str, consistency: u8) -> io::Result<Vec<u8>> {
    let mut query = Vec::from(length(statement.as_bytes()).to_be_bytes());
    query.extend_from_slice(statement.as_bytes());
    query.extend_from_slice(&[0, consistency, 0]);
    cql_expect(stream, QUERY, &query, RESULT)
}

/// Sends one frame and returns the answer's body if its opcode is the wanted one.
fn cql_expect(stream: &mut TcpStream, opcode: u8, body: &[u8], wanted: u8) -> io::Result<Vec<u8>> {
    match cql_request(stream, opcode, body)? {
        (opcode, body) if opcode == wanted => Ok(body),
        (ERROR, body) => Err(unexpected(format!("the node answers {}", cql_error(&body)))),
        (opcode, _) => Err(unexpected(format!("opcode {opcode} instead of {wanted}"))),
    }
}

/// Sends one frame of protocol version 4 and returns the answer's opcode and body.
fn cql_request(stream: &mut TcpStream, opcode: u8, body: &[u8]) -> io::Result<(u8, Vec<u8>)> {
    let mut frame = vec![0x04, 0, 0, 0, opcode];
    frame.extend_from_slice(&length(body).to_be_bytes());
    frame.extend_from_slice(body);
    stream.write_all(&frame)?;

    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    let [version, _, _, _, opcode, size @ ..] = header;
    if version != 0x84 {
        return Err(unexpected(format!("not CQL version 4: {version:#04x}")));
    }
    Ok((opcode, read_body(stream, u32::from_be_bytes(size))?))
}

/// The text of an error body: a code, then a string.
fn cql_error(body: &[u8]) -> String {
    String::from_utf8_lossy(body.get(6..).unwrap_or_default()).into_owned()
}

fn read_body(stream: &mut TcpStream, size: u32) -> io::Result<Vec<u8>> {
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size > ANSWER_BYTES_MAX {
        return Err(unexpected(format!("an answer of {size} bytes")));
    }
    let mut body = vec![0; size];
    stream.read_exact(&mut body)?;
    Ok(body)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("requests are short")
}

fn unexpected(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// Takes big-endian fields off the front of an answer.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (field, rest) = self
            .0
            .split_first_chunk()
            .ok_or_else(|| unexpected("the answer ends too early".to_owned()))?;
        self.0 = rest;
        Ok(*field)
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// Skips a string that may be null (length -1).
    fn skip_string(&mut self) -> io::Result<()> {
        let size = usize::try_from(self.i16()?).unwrap_or(0);
        self.0 =
            self.0.get(size..).ok_or_else(|| unexpected("a string ends too late".to_owned()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_brokers_and_controller_of_a_metadata_answer() {
        let mut answer = vec![0, 0, 0, 0, 0, 0, 0, 2];
        for id in [1, 2] {
            answer.extend_from_slice(&[0, 0, 0, id]);
            answer.extend_from_slice(b"\x00\x09127.0.0.1\x00\x00\x23\x84\xff\xff");
        }
        answer.extend_from_slice(b"\x00\x02id\x00\x00\x00\x02");
        assert_eq!(brokers_of(&answer).unwrap(), (vec![1, 2], 2));
        assert!(brokers_of(&answer[..20]).is_err());
    }

    #[test]
    fn a_server_that_accepts_and_closes_is_not_ready() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                drop(stream);
            }
        });
        assert!(kafka(address, 1, 1).is_err());
        assert!(cassandra(address, 1).is_err());
        server.join().unwrap();
    }
}
