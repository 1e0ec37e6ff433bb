//! The door: who may come in, how many at once, and what is taken from them.
//!
//! Kept true: handshakes under way are bounded, in all and for each address; when one more comes, the oldest that has
//! said nothing sensible goes, so that a node that speaks at once gets through; nothing is taken in the name of
//! another node or life than the handshake's.
//! Not here: what is said in a handshake (`handshake.rs`), our connections to peers (`lane.rs`).

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::task::{AbortHandle, JoinSet, yield_now};
use tokio::time::{sleep, timeout};

use super::handshake::{Failed, HELLO_BYTES_MAX, Refusal, Settled, receive};
use super::lane::{FRAME_BYTES_MAX, HANDSHAKE, Pong, SILENCE, Said, WRITE_STALL};
use super::peer::{Peer, count, lock};
use super::{Life, Shared};
use crate::raft::NodeId;
use crate::transport::frame::{FrameReader, FrameWriter, frames};
use crate::transport::net::Wire;

/// Handshakes under way at once.
pub const HANDSHAKES_MAX: usize = 64;
/// Of them from one address.
pub const HANDSHAKES_AN_ADDRESS_MAX: usize = 8;
/// After an attempt to let somebody in failed: no file handles are left, most likely.
const OUT_OF_BREATH: Duration = Duration::from_millis(50);

struct Guest {
    number: u64,
    from: IpAddr,
    /// It has said a good first word.
    greeted: bool,
    task: AbortHandle,
}

/// Handshakes under way, oldest first.
#[derive(Default)]
pub(super) struct Lobby {
    guests: Mutex<Vec<Guest>>,
}

impl Lobby {
    /// Makes room for one more from `from`; whether somebody had to go for it.
    fn make_room(guests: &mut Vec<Guest>, from: IpAddr) -> bool {
        let of_it = |guest: &Guest| guest.from == from;
        let crowded = guests.iter().filter(|guest| of_it(guest)).count() >= HANDSHAKES_AN_ADDRESS_MAX;
        if !crowded && guests.len() < HANDSHAKES_MAX {
            return false;
        }
        let may_go = |guest: &Guest| !crowded || of_it(guest);
        let silent = guests.iter().position(|guest| may_go(guest) && !guest.greeted);
        if let Some(oldest) = silent.or_else(|| guests.iter().position(may_go)) {
            guests.remove(oldest).task.abort();
        }
        true
    }

    fn greeted(&self, number: u64) {
        if let Some(guest) = lock(&self.guests).iter_mut().find(|guest| guest.number == number) {
            guest.greeted = true;
        }
    }

    fn leave(&self, number: u64) {
        lock(&self.guests).retain(|guest| guest.number != number);
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.guests).len()
    }

    pub(super) fn clear(&self) {
        lock(&self.guests).clear();
    }
}

/// Lets peers in for as long as `life` lasts.
pub(super) async fn keep(shared: Arc<Shared>, life: Arc<Life>) {
    let mut doorway = shared.doorway.lock().await;
    let mut inside = JoinSet::new();
    let mut number = 0;
    loop {
        let (wire, from) = match doorway.accept().await {
            Ok(came) => came,
            Err(error) => {
                tracing::warn!("letting a peer in: {error}");
                sleep(OUT_OF_BREATH).await;
                continue;
            }
        };
        while inside.try_join_next().is_some() {}
        number += 1;
        {
            let mut guests = lock(&shared.lobby.guests);
            if Lobby::make_room(&mut guests, from.ip()) {
                count(&shared.turned_away, 1);
            }
            let task = inside.spawn(serve(Arc::clone(&shared), Arc::clone(&life), wire, from, number));
            guests.push(Guest { number, from: from.ip(), greeted: false, task });
        }
        // The guest may have spoken already: let it be heard before others push in.
        yield_now().await;
    }
}

async fn serve(shared: Arc<Shared>, life: Arc<Life>, wire: Wire, from: SocketAddr, number: u64) {
    let settled = timeout(HANDSHAKE, let_in(&shared, &life, wire, from, number)).await;
    shared.lobby.leave(number);
    match settled {
        Ok(Ok((reader, writer, settled))) => {
            if let Some(peer) = shared.peers.get(&settled.peer.from) {
                listen(&shared, &life, peer, reader, writer, &settled).await;
            }
        }
        Ok(Err((failed, claimed))) => shared.turn_away(&failed, claimed, from),
        Err(_) => count(&shared.malformed, 1),
    }
}

type LetIn = (FrameReader, FrameWriter, Settled);

async fn let_in(
    shared: &Arc<Shared>,
    life: &Life,
    wire: Wire,
    from: SocketAddr,
    number: u64,
) -> Result<LetIn, (Failed, Option<NodeId>)> {
    let (wire, name) = match &shared.spec.tls {
        Some(tls) => {
            let accepted = tls.accept_peer(wire).await;
            accepted.map(|(wire, name)| (wire, Some(name))).map_err(|error| (Failed::Frame(error.into()), None))?
        }
        None => (wire, None),
    };
    let (mut reader, mut writer) = frames(wire, HELLO_BYTES_MAX);
    let ours = life.hello(shared, shared.spec.node);
    let may = |theirs: &super::handshake::Hello| {
        if !shared.peers.contains_key(&theirs.from) {
            return Err(Refusal::NotAMember);
        }
        if name.is_some_and(|name| !name.is(theirs.from)) {
            return Err(Refusal::Certificate);
        }
        shared.lobby.greeted(number);
        Ok(())
    };
    let meet = async |theirs: super::handshake::Hello| {
        let peer = shared.peers.get(&theirs.from).ok_or(Refusal::NotAMember)?;
        shared.meet(peer, theirs, &from.ip().to_string()).await
    };
    let settled = receive(&mut reader, &mut writer, ours, may, meet).await?;
    Ok((reader, writer, settled))
}

/// Takes what a peer sends, until it hangs up, falls silent, is replaced, or says what it may not.
async fn listen(
    shared: &Shared,
    life: &Life,
    peer: &Arc<Peer>,
    mut reader: FrameReader,
    mut writer: FrameWriter,
    settled: &Settled,
) {
    // Or a life that came meanwhile has taken over.
    let Ok(number) = peer.comes_in(&settled.peer) else { return };
    reader.set_max_bytes(FRAME_BYTES_MAX);
    reader.set_seed(settled.seed);
    writer.set_seed(settled.seed);
    let mut replaced = peer.incoming.subscribe();
    let why = tokio::select! {
        why = take(shared, life, peer, &mut reader, &mut writer, settled, number) => why,
        _ = replaced.wait_for(|last| *last != number) => "another connection took its place".to_owned(),
    };
    peer.goes_out(number);
    tracing::debug!("connection from {}: {why}", peer.id);
}

async fn take(
    shared: &Shared,
    life: &Life,
    peer: &Peer,
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
    settled: &Settled,
    number: u64,
) -> String {
    let (us, from, epoch) = (shared.spec.node, peer.id, settled.peer.epoch);
    loop {
        let before = reader.bytes();
        let said = timeout(SILENCE, reader.next::<Said>()).await;
        count(&peer.counts.bytes_in, reader.bytes() - before);
        let envelope = match said {
            Ok(Ok(Some(Said::Message(envelope)))) => envelope,
            Ok(Ok(Some(Said::Ping(ping)))) => {
                let before = writer.bytes();
                let answered = timeout(WRITE_STALL, writer.send(&Pong(ping))).await;
                count(&peer.counts.bytes_out, writer.bytes() - before);
                match answered {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => return error.to_string(),
                    Err(_) => return format!("it takes nothing for {WRITE_STALL:?}"),
                }
            }
            Ok(Ok(None)) => return "it hung up".to_owned(),
            Ok(Err(error)) => {
                count(&shared.malformed, 1);
                return error.to_string();
            }
            Err(_) => return format!("no sign of life for {SILENCE:?}"),
        };
        if (envelope.from, envelope.to, envelope.epoch) != (from, us, epoch) {
            count(&peer.counts.forged, 1);
            tracing::warn!("{from} speaks as {} in life {}: its connection is closed", envelope.from, envelope.epoch.0);
            return "it spoke in another's name".to_owned();
        }
        if !shared.passes(peer, &envelope) {
            continue;
        }
        // While this is held no other connection takes the place of this one.
        let last = peer.incoming.borrow();
        if *last != number {
            return "another connection took its place".to_owned();
        }
        match life.inbox.try_send(envelope) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => count(&peer.counts.by_inbox, 1),
            Err(TrySendError::Closed(_)) => return "the node is gone".to_owned(),
        }
    }
}
