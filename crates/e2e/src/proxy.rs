//! A TCP proxy that misbehaves on demand: slow, cut, refusing or silent.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

/// Bytes that are passed on at once.
const CHUNK_BYTES: usize = 16 << 10;
/// Chunks on the way in one direction of a connection: what a slow line holds.
const CHUNKS_MAX: usize = 64;

/// How the line is; the default is a good one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// How much later each byte arrives.
    pub latency: Duration,
    /// Most bytes a second in each direction of each connection.
    pub bytes_per_s: Option<u32>,
    /// New connections are reset as soon as they are made.
    pub refuses: bool,
    /// Connections are accepted, and nothing is passed on until that ends.
    pub swallows: bool,
}

/// What the connections share.
#[derive(Clone, Debug)]
struct Shared {
    line: watch::Receiver<Line>,
    target: watch::Receiver<Option<SocketAddr>>,
    cuts: watch::Receiver<()>,
    accepted: Arc<AtomicU64>,
}

/// A proxy in front of one server. Dropping it cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    line: watch::Sender<Line>,
    target: watch::Sender<Option<SocketAddr>>,
    cuts: watch::Sender<()>,
    accepted: Arc<AtomicU64>,
    _runtime: Runtime,
}

/// Makes the line good again when it is dropped.
#[derive(Debug)]
#[must_use]
pub struct Bad<'a>(&'a Proxy);

impl Drop for Bad<'_> {
    fn drop(&mut self) {
        self.0.line.send_replace(Line::default());
    }
}

impl Proxy {
    /// Listens on a free loopback port; connections wait until the proxy knows its target.
    pub fn listen() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.context("a proxy needs a free port")?;
        let address = listener.local_addr()?;
        let accepted = Arc::new(AtomicU64::new(0));
        let (line, line_receiver) = watch::channel(Line::default());
        let (target, target_receiver) = watch::channel(None);
        let (cuts, cuts_receiver) = watch::channel(());
        let shared = Shared {
            line: line_receiver,
            target: target_receiver,
            cuts: cuts_receiver,
            accepted: Arc::clone(&accepted),
        };
        runtime.spawn(accept(listener, shared));
        Ok(Self { address, line, target, cuts, accepted, _runtime: runtime })
    }

    /// Returns where the proxy listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says where connections lead.
    pub fn forward_to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }

    /// Returns how many connections were ever made.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Makes the line bad, for connections that exist as well, until the guard is dropped.
    pub fn become_bad(&self, line: Line) -> Bad<'_> {
        self.line.send_replace(line);
        Bad(self)
    }

    /// Resets all connections; what is on its way is lost.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }
}

async fn accept(listener: TcpListener, shared: Shared) {
    // An error concerns one connection, whose client sees it as well.
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        shared.accepted.fetch_add(1, Ordering::Relaxed);
        if shared.line.borrow().refuses {
            // Closing then resets.
            let _reset = client.set_zero_linger();
            continue;
        }
        let mut shared = shared.clone();
        // Only cuts from now on concern this connection.
        shared.cuts.borrow_and_update();
        tokio::spawn(serve(client, shared));
    }
}

/// Passes bytes between client and server until either ends or the connection is cut.
async fn serve(client: TcpStream, mut shared: Shared) {
    let target = shared.target.wait_for(Option::is_some).await.ok().and_then(|target| *target);
    let Some(target) = target else { return };
    let Ok(server) = TcpStream::connect(target).await else {
        let _reset = client.set_zero_linger();
        return;
    };
    let _on = (client.set_nodelay(true), server.set_nodelay(true));
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = pump(&mut from_client, &mut to_server, shared.line.clone());
    let down = pump(&mut from_server, &mut to_client, shared.line.clone());
    let both = async { tokio::try_join!(up, down) };
    let ended_well = tokio::select! {
        ended = both => ended.is_ok(),
        _ = shared.cuts.changed() => false,
    };
    if !ended_well {
        for stream in [from_client.as_ref(), from_server.as_ref()] {
            let _reset = stream.set_zero_linger();
        }
        // Dropping these would say a proper goodbye first.
        to_client.forget();
        to_server.forget();
    }
}

/// Passes bytes on in one direction, as well as the line allows, until the sender is done.
async fn pump(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut line: watch::Receiver<Line>,
) -> std::io::Result<()> {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Vec<u8>)>(CHUNKS_MAX);
    let read = async move {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let bytes = from.read(&mut chunk).await?;
            if bytes == 0 {
                return Ok(());
            }
            chunk.truncate(bytes);
            if sender.send((Instant::now(), chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let write = async {
        while let Some((came, chunk)) = chunks.recv().await {
            let silent = line.wait_for(|line| !line.swallows).await.map(|line| *line);
            let Line { latency, bytes_per_s, .. } = silent.unwrap_or_default();
            sleep_until(came + latency).await;
            to.write_all(&chunk).await?;
            if let Some(bytes_per_s) = bytes_per_s {
                sleep(Duration::from_secs_f64(chunk.len() as f64 / f64::from(bytes_per_s))).await;
            }
        }
        to.shutdown().await
    };
    tokio::try_join!(read, write).map(|_| ())
}

#[cfg(test)]
mod tests;
