//! Byte streams between machines, so that TCP, TLS and a simulated network can stand for each other.
//!
//! Whoever speaks a protocol (nodes to nodes, consoles to nodes) asks a [`Net`] to dial or to listen and gets a [`Wire`].
//!
//! Kept true: nothing here knows what is said.
//! Not here: frames (`frame.rs`), certificates (`tls.rs`).

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// What a [`Wire`] is made of.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A connection, whatever carries it.
pub type Wire = Box<dyn Stream>;

/// A future that is ready later, on any thread.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A network that can be dialled and listened on.
pub trait Net: Send + Sync + 'static {
    /// Connects to `host:port`.
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Wire>>;

    /// Takes a place, `host:port`; port 0 is any that is free.
    fn listen<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Doorway>>>;
}

/// A place that others can dial.
pub trait Doorway: Send {
    /// The next who comes in, and from where.
    fn accept(&mut self) -> Later<'_, io::Result<(Wire, SocketAddr)>>;

    /// Where it is.
    fn address(&self) -> SocketAddr;
}

/// TCP of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tcp;

impl Net for Tcp {
    fn dial<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Wire>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            // Small messages leave at once: what is queued is written together anyway.
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Wire)
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> Later<'a, io::Result<Box<dyn Doorway>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            let address = listener.local_addr()?;
            Ok(Box::new(TcpDoorway { listener, address }) as Box<dyn Doorway>)
        })
    }
}

struct TcpDoorway {
    listener: TcpListener,
    address: SocketAddr,
}

impl Doorway for TcpDoorway {
    fn accept(&mut self) -> Later<'_, io::Result<(Wire, SocketAddr)>> {
        Box::pin(async move {
            let (stream, from) = self.listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Wire, from))
        })
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}
