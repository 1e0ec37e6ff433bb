//! Our connection to one peer: dialled, greeted, written to, given up, dialled again.
//!
//! Kept true: nobody waits for a peer but its own lane; a peer that does not answer for [`SILENCE`] is hung up on.
//! Not here: what waits to be sent (`peer.rs`), the peer's connection to us (`door.rs`).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::handshake::{Failed, HELLO_BYTES_MAX, Refusal, greet};
use super::peer::{Peer, count, lock};
use super::{Life, Shared};
use crate::raft::rng::Rng;
use crate::raft::{Envelope, Epoch, NodeId};
use crate::text::sanitize_str;
use crate::transport::frame::{FrameError, FrameReader, FrameWriter, frames};
use crate::transport::tls::Distrust;

/// Longest frame between nodes that know each other.
pub const FRAME_BYTES_MAX: usize = 8 << 20;

pub(super) const CONNECT: Duration = Duration::from_secs(2);
pub(super) const HANDSHAKE: Duration = Duration::from_secs(2);
/// A write that takes longer is given up, and the connection with it.
pub(super) const WRITE_STALL: Duration = Duration::from_secs(5);
/// Signs of life come so often …
const PING: Duration = Duration::from_secs(1);
/// … and whoever gives none for so long is gone.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// How long to wait before the first attempt after a failure; it doubles with each …
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// … up to this,
const WAIT_MAX: Duration = Duration::from_secs(5);
/// or to this where somebody is not who he should be: a person must see to that.
const WAIT_IDENTITY: Duration = Duration::from_secs(30);
/// A connection that lasted so long was a good one.
const LASTED: Duration = Duration::from_secs(1);

/// What is written in one go; then a sign of life may come between.
const BATCH_BYTES: u64 = 1 << 20;

/// What a dialler says once it is let in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(clippy::large_enum_variant, reason = "nearly all are messages")]
pub enum Said {
    /// A message.
    Message(Envelope),
    /// Are you there?
    Ping(u64),
}

/// The doorkeeper's answer to [`Said::Ping`], and all it ever says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pong(pub u64);

enum Ended {
    /// It was good for a while.
    Lasted(String),
    Failed {
        why: String,
        /// It is an alarm: a certificate is not believed, and somebody has to renew it.
        told: bool,
    },
    /// Somebody is not who he should be.
    Identity(String),
}

/// Keeps a connection to `peer`, for as long as `life` lasts.
pub(super) async fn keep(shared: Arc<Shared>, life: Arc<Life>, peer: Arc<Peer>) {
    let mut luck = Rng::new(shared.spec.seed).fork(shared.spec.node.0.rotate_left(32) ^ peer.id.0);
    let mut wait = WAIT_FIRST;
    loop {
        let (why, pause, told) = match connect(&shared, &life, &peer).await {
            Ended::Lasted(why) => {
                wait = WAIT_FIRST;
                (why, wait, false)
            }
            Ended::Failed { why, told } => {
                let pause = wait;
                wait = (wait * 2).min(WAIT_MAX);
                (why, pause, told)
            }
            Ended::Identity(why) => (why, WAIT_IDENTITY, true),
        };
        peer.not_connected(sanitize_str(&why), told);
        // From three to five quarters of it, so that nodes that lost each other together do not all come at once.
        let pause = pause * u32::try_from(750 + luck.below(500)).unwrap_or(1_000) / 1_000;
        tokio::select! {
            () = sleep(pause) => {}
            () = peer.wake.notified() => {}
        }
    }
}

const fn failed(why: String) -> Ended {
    Ended::Failed { why, told: false }
}

fn distrusted(error: &Failed, peer: NodeId, place: &str) -> Ended {
    let distrust = match error {
        Failed::Frame(FrameError::Wire(error)) => Distrust::of(error),
        _ => None,
    };
    let certificate = |why| Ended::Failed { why, told: true };
    match distrust {
        Some(Distrust::OfTheirs(why)) => certificate(format!("the certificate of {peer} at {place} {why}")),
        Some(Distrust::OfOurs(why)) => {
            certificate(format!("{peer} at {place} does not accept the certificate of this node: {why}"))
        }
        None => failed(format!("greeting {place}: {error}")),
    }
}

async fn connect(shared: &Arc<Shared>, life: &Life, peer: &Arc<Peer>) -> Ended {
    let place = &peer.address;
    let wire = match timeout(CONNECT, shared.spec.net.dial(place)).await {
        Ok(Ok(wire)) => wire,
        Ok(Err(error)) => return failed(format!("dialling {place}: {error}")),
        Err(_) => return failed(format!("dialling {place}: no answer in {CONNECT:?}")),
    };
    let mut lives = peer.lives.subscribe();
    let greeted = timeout(HANDSHAKE, async {
        let (wire, name) = match &shared.spec.tls {
            Some(tls) => tls.connect(wire).await.map(|(wire, name)| (wire, Some(name))).map_err(FrameError::from)?,
            None => (wire, None),
        };
        let (mut reader, mut writer) = frames(wire, HELLO_BYTES_MAX);
        let ours = life.hello(shared, peer.id);
        let settled = greet(&mut reader, &mut writer, ours, async |theirs| {
            if name.is_some_and(|name| !name.is(peer.id)) {
                return Err(Refusal::Certificate);
            }
            let host = place.rsplit_once(':').map_or(place.as_str(), |(host, _)| host);
            shared.meet(peer, theirs, host).await
        })
        .await?;
        Ok::<_, Failed>((reader, writer, settled))
    });
    let (mut reader, mut writer, settled) = match greeted.await {
        Ok(Ok(greeted)) => greeted,
        Ok(Err(Failed::ByUs(refusal))) => return Ended::Identity(refusal.of_peer(peer.id, place)),
        Ok(Err(Failed::ByThem(refusal))) => return Ended::Identity(refusal.of_us(peer.id, place)),
        Ok(Err(error)) => return distrusted(&error, peer.id, place),
        Err(_) => return failed(format!("greeting {place}: no answer in {HANDSHAKE:?}")),
    };
    lives.mark_unchanged();
    // What was met during the handshake is the life we are connected with, unless another came meanwhile.
    if peer.meet(&settled.peer).is_err() {
        return failed(format!("{} was started again meanwhile", peer.id));
    }
    reader.set_max_bytes(FRAME_BYTES_MAX);
    writer.set_max_bytes(FRAME_BYTES_MAX);
    reader.set_seed(settled.seed);
    writer.set_seed(settled.seed);
    peer.drop_stale();
    let begun = Instant::now();
    let why = {
        let _connected = peer.connected();
        tokio::select! {
            why = speak(peer, life.epoch, reader, writer) => why,
            _ = lives.changed() => "it was started again".to_owned(),
        }
    };
    let why = format!("connection to {place}: {why}");
    if begun.elapsed() >= LASTED { Ended::Lasted(why) } else { failed(why) }
}

/// Sends what waits and asks for signs of life, until something fails; says what.
async fn speak(peer: &Peer, epoch: Epoch, mut reader: FrameReader, mut writer: FrameWriter) -> String {
    let pinged = Mutex::new((0, Instant::now()));
    let listening = async {
        loop {
            let before = reader.bytes();
            let heard = timeout(SILENCE, reader.next::<Pong>()).await;
            count(&peer.counts.bytes_in, reader.bytes() - before);
            match heard {
                Ok(Ok(Some(Pong(number)))) => {
                    let (last, at) = *lock(&pinged);
                    if number == last {
                        peer.answered(at.elapsed());
                    }
                }
                Ok(Ok(None)) => return "the other side hung up".to_owned(),
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return format!("no sign of life for {SILENCE:?}"),
            }
        }
    };
    let speaking = async {
        let mut ping_at = Instant::now();
        loop {
            let batch = peer.take(BATCH_BYTES);
            let due = Instant::now() >= ping_at;
            if batch.is_empty() && !due {
                // In time either something is there or a sign of life is due.
                let _ = timeout_at(ping_at, peer.news.notified()).await;
                continue;
            }
            let before = writer.bytes();
            let written = timeout(WRITE_STALL, async {
                // What a former life still put into the queue is not said in the name of this one.
                for envelope in batch.into_iter().filter(|envelope| envelope.epoch == epoch) {
                    match writer.feed(&Said::Message(envelope)).await {
                        Err(FrameError::TooLong { .. } | FrameError::Value(_)) => count(&peer.counts.unfit, 1),
                        fed => fed?,
                    }
                }
                if due {
                    ping_at = Instant::now() + PING;
                    let number = {
                        let mut pinged = lock(&pinged);
                        *pinged = (pinged.0 + 1, Instant::now());
                        pinged.0
                    };
                    writer.feed(&Said::Ping(number)).await?;
                }
                writer.flush().await
            })
            .await;
            count(&peer.counts.bytes_out, writer.bytes() - before);
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error.to_string(),
                Err(_) => return format!("it takes nothing for {WRITE_STALL:?}"),
            }
        }
    };
    tokio::select! {
        why = listening => why,
        why = speaking => why,
    }
}
