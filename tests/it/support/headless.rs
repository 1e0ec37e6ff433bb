//! Clusters in this process for subcommands without a screen.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use raft_tui::cluster::{Guard, Session, Spec, local};
use raft_tui::control::grammar;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// A cluster in memory that has done all this, each with a good answer.
pub async fn started(nodes: u64, lines: &[&str]) -> (Session, Guard) {
    let spec = Spec { seed: 7, ..Spec::new(nodes).real_time().in_memory() };
    let (mut session, guard) = local::start(spec).expect("the cluster starts");
    for line in lines {
        let operation = grammar::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let answer = session.ask(operation).await.expect("the cluster lives");
        assert!(answer.is_good(), "`{line}` got {answer:?}");
    }
    (session, guard)
}

/// An output that can be read while it is written to.
#[derive(Clone, Debug, Default)]
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Shared {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("nobody failed").clone()).expect("it is text")
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }
}

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("nobody failed").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An input that gives what is sent to it, and ends with its sender.
pub struct Typed {
    sent: mpsc::UnboundedReceiver<String>,
    ready: VecDeque<u8>,
}

impl Typed {
    pub fn new() -> (mpsc::UnboundedSender<String>, Self) {
        let (sender, sent) = mpsc::unbounded_channel();
        (sender, Self { sent, ready: VecDeque::new() })
    }
}

impl AsyncRead for Typed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.ready.is_empty() {
            match self.sent.poll_recv(cx) {
                Poll::Ready(Some(line)) => self.ready.extend(format!("{line}\n").into_bytes()),
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
        while buf.remaining() > 0 {
            let Some(byte) = self.ready.pop_front() else { break };
            buf.put_slice(&[byte]);
        }
        Poll::Ready(Ok(()))
    }
}
