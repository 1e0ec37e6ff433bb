//! How two nodes make sure of each other before a word of Raft is said, version 1.
//!
//! ```text
//! dialler                                    doorkeeper
//!   Hello {who, versions, nonce}          →
//!                                         ←  Answer: Hello {who, …} with the dialler's nonce and the version; or Refused
//!   Proof: the doorkeeper's nonce; or Refused  →
//!                                         ←  Entry: Welcome; or Refused
//! ```
//!
//! Each frame is at most [`HELLO_BYTES_MAX`] long. Nonces are there so that what was recorded on one connection is worth
//! nothing on another: without its echo neither side believes a [`Hello`], and the checksums of all frames to come start
//! from both ([`Settled::seed`]). [`Hello`], [`Answer`], [`Proof`], [`Entry`] and [`Refusal`] stay as they are in every
//! version to come; what later versions add goes into [`Hello::more`], which a reader passes over.
//!
//! Kept true: a side that refuses says why before it closes; nothing is changed by a greeting that was not proved.
//! Not here: which store or life of a peer is the right one (`meeting.rs`), sockets (`door.rs`, `lane.rs`).

use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::raft::{Epoch, NodeId};
use crate::text::is_safe;
use crate::transport::frame::{FrameError, FrameReader, FrameWriter};

/// First bytes of a node's first frame.
pub const MAGIC: [u8; 8] = *b"RAFTPEER";

/// The oldest and the newest version that this program speaks.
pub const VERSIONS: (u16, u16) = (1, 1);

/// Longest frame of a handshake.
pub const HELLO_BYTES_MAX: usize = 1024;

/// Longest control address.
pub const CONTROL_BYTES_MAX: usize = 255;

/// Who somebody says to be. Both sides say it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`MAGIC`].
    pub magic: [u8; 8],
    /// Oldest and newest version that the speaker speaks.
    pub versions: (u16, u16),
    /// The cluster.
    pub cluster: u128,
    /// The speaker.
    pub from: NodeId,
    /// Whom it means.
    pub to: NodeId,
    /// The speaker's store.
    pub store: u128,
    /// The life of the speaker, as counted in its store.
    pub epoch: Epoch,
    /// Random, of that life: two processes with the same store and life differ in it.
    pub boot: u128,
    /// Where the speaker's consoles connect, `host:port`.
    pub control: String,
    /// Random, of this connection.
    pub nonce: u128,
    /// What later versions add; passed over.
    pub more: Bytes,
}

/// The doorkeeper's answer to a [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// Go on.
    Hello {
        /// The version that both speak from now on.
        version: u16,
        /// The dialler's nonce.
        echo: u128,
        /// Who the doorkeeper is.
        hello: Hello,
    },
    /// No.
    Refused(Refusal),
}

/// The dialler's answer to that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Proof {
    /// I am here now, as the doorkeeper's nonce shows.
    Echo(u128),
    /// I wanted somebody else.
    Refused(Refusal),
}

/// The doorkeeper's last word.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Come in.
    Welcome,
    /// No.
    Refused(Refusal),
}

/// Why a node does not speak with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// Not this protocol.
    NotAPeer,
    /// No version in common.
    Version {
        /// Oldest and newest that the refusing side speaks.
        spoken: (u16, u16),
    },
    /// Another cluster.
    Cluster,
    /// Not the node that was meant.
    Address {
        /// Who is there.
        here: NodeId,
    },
    /// No member of the cluster.
    NotAMember,
    /// The certificate is not that of the node.
    Certificate,
    /// An echo is missing: recorded on another connection.
    Replayed,
    /// Another store than the one that is remembered.
    Store,
    /// A later life of the node is known.
    OlderLife {
        /// Which.
        newest: Epoch,
    },
    /// Two processes have the same store and life.
    SecondProcess,
    /// The refusing side cannot write down whom it met.
    Forgetful,
}

impl Refusal {
    /// What is wrong with `peer`, dialled at or coming from `place`, whom this node refuses, and what to do.
    #[must_use]
    pub fn of_peer(self, peer: NodeId, place: &str) -> String {
        match self {
            Self::NotAPeer => format!("what is at {place} does not speak as a node does: check --peers for {peer}"),
            Self::Version { spoken: (oldest, newest) } => format!(
                "{peer} at {place} speaks no version of the wire that this node speaks ({oldest} to {newest}): \
                 run releases that go together"
            ),
            Self::Cluster => {
                format!("{peer} at {place} is of another cluster: check --peers and --data-dir there and here")
            }
            Self::Address { here } => format!("{here} is at {place}, where {peer} is looked for: check --peers"),
            Self::NotAMember => format!("{peer} at {place} is no member of this cluster: check --id and --peers there"),
            Self::Certificate => format!(
                "the certificate shown at {place} is not that of {peer}: give each node the certificate made for it"
            ),
            Self::Replayed => format!("somebody at {place} repeats what {peer} once said; find out who is there"),
            Self::Store => format!(
                "{peer} at {place} has come with another store than the one it had: its disk was wiped, or it runs on \
                 a wrong folder; bring its own folder back"
            ),
            Self::OlderLife { newest } => format!(
                "{peer} at {place} runs on an old copy of its folder, or an old process of it still runs (its life \
                 {newest} is known): end it, and start it on its newest folder only"
            ),
            Self::SecondProcess => format!(
                "two processes run as {peer} on copies of one folder, the last at {place}: end both, remove the copy, \
                 start one again"
            ),
            Self::Forgetful => {
                format!("this node cannot write down that it met {peer}: see to its disk; the log says what failed")
            }
        }
    }

    /// What is wrong with this node in the eyes of `peer`, which refuses it, and what to do.
    #[must_use]
    pub fn of_us(self, peer: NodeId, place: &str) -> String {
        let at = format!("{peer} at {place}");
        match self {
            Self::NotAPeer => {
                format!("{at} does not understand this node: check --peers, and which release runs there")
            }
            Self::Version { spoken: (oldest, newest) } => format!(
                "{at} speaks versions {oldest} to {newest} of the wire, this node {} to {}: run releases that go \
                 together",
                VERSIONS.0, VERSIONS.1
            ),
            Self::Cluster => format!("{at} is of another cluster: check --peers and --data-dir there and here"),
            Self::Address { here } => format!("{here} is at {place}, where {peer} is looked for: check --peers"),
            Self::NotAMember => format!("{at} does not know this node as a member: check --id here and --peers there"),
            Self::Certificate => {
                format!("{at} does not accept the certificate of this node: give each node the one made for it")
            }
            Self::Replayed => format!("{at} takes what this node says for a recording; somebody is in between"),
            Self::Store => {
                format!("{at} remembers another store of this node: this folder is not the one it had; bring that back")
            }
            Self::OlderLife { newest } => format!(
                "{at} knows life {newest} of this node: this folder is an old copy; end this process, and start it on \
                 the newest folder"
            ),
            Self::SecondProcess => format!(
                "{at} sees two processes with the identity of this node: end both, remove the copied folder, start one \
                 again"
            ),
            Self::Forgetful => format!("{at} cannot write down that it met this node: see to its disk"),
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    /// The wire failed, or something else than a handshake came.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// The other side hung up without a word.
    #[error("the other side hung up during the handshake")]
    HungUp,
    /// We refuse.
    #[error("refused here: {0:?}")]
    ByUs(Refusal),
    /// The other side refuses.
    #[error("refused there: {0:?}")]
    ByThem(Refusal),
}

/// What both sides have agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Who the other side is.
    pub peer: Hello,
    /// The version that is spoken.
    pub version: u16,
    /// The seed of checksums from now on.
    pub seed: u64,
}

/// A number that cannot be guessed.
#[must_use]
pub(super) fn random() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

/// The newest version that both speak.
#[must_use]
pub fn common_version(ours: (u16, u16), theirs: (u16, u16)) -> Option<u16> {
    let newest = ours.1.min(theirs.1);
    (newest >= ours.0.max(theirs.0)).then_some(newest)
}

fn seed(dialler: u128, doorkeeper: u128) -> u64 {
    xxh3_64(&[dialler.to_le_bytes(), doorkeeper.to_le_bytes()].concat())
}

fn is_address(control: &str) -> bool {
    control.len() <= CONTROL_BYTES_MAX && control.is_ascii() && is_safe(control)
}

/// What can be seen of `theirs` without believing it: protocol, version, cluster, and whether we are meant.
fn look(ours: &Hello, theirs: &Hello) -> Result<u16, Refusal> {
    if theirs.magic != MAGIC || !is_address(&theirs.control) {
        return Err(Refusal::NotAPeer);
    }
    let spoken = ours.versions;
    let version = common_version(spoken, theirs.versions).ok_or(Refusal::Version { spoken })?;
    if theirs.cluster != ours.cluster {
        return Err(Refusal::Cluster);
    }
    if theirs.to != ours.from {
        return Err(Refusal::Address { here: ours.from });
    }
    Ok(version)
}

/// The dialler's side. `ours.to` is who is meant; `meet` says whether it is the one that is known.
pub async fn greet<M: Future<Output = Result<(), Refusal>>>(
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
    ours: Hello,
    meet: impl FnOnce(Hello) -> M,
) -> Result<Settled, Failed> {
    writer.send(&ours).await?;
    let (version, echo, theirs) = match reader.next::<Answer>().await?.ok_or(Failed::HungUp)? {
        Answer::Hello { version, echo, hello } => (version, echo, hello),
        Answer::Refused(refusal) => return Err(Failed::ByThem(refusal)),
    };
    let judged = match look(&ours, &theirs) {
        Ok(_) if echo != ours.nonce => Err(Refusal::Replayed),
        Ok(_) if theirs.from != ours.to => Err(Refusal::Address { here: theirs.from }),
        Ok(best) if best != version => Err(Refusal::NotAPeer),
        Ok(_) => meet(theirs.clone()).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = judged {
        writer.send(&Proof::Refused(refusal)).await?;
        return Err(Failed::ByUs(refusal));
    }
    writer.send(&Proof::Echo(theirs.nonce)).await?;
    match reader.next::<Entry>().await?.ok_or(Failed::HungUp)? {
        Entry::Welcome => Ok(Settled { seed: seed(ours.nonce, theirs.nonce), version, peer: theirs }),
        Entry::Refused(refusal) => Err(Failed::ByThem(refusal)),
    }
}

/// The doorkeeper's side. `may` says whether such a one may go on at all, `meet` whether it is the one that is known.
/// With a failure comes who it claimed to be, if that was heard.
pub async fn receive<M: Future<Output = Result<(), Refusal>>>(
    reader: &mut FrameReader,
    writer: &mut FrameWriter,
    ours: Hello,
    may: impl FnOnce(&Hello) -> Result<(), Refusal>,
    meet: impl FnOnce(Hello) -> M,
) -> Result<Settled, (Failed, Option<NodeId>)> {
    let nobody = |error: FrameError| (Failed::from(error), None);
    let theirs = reader.next::<Hello>().await.map_err(nobody)?.ok_or((Failed::HungUp, None))?;
    let from = theirs.from;
    let claimed = |failed: Failed| (failed, Some(from));
    let version = match look(&ours, &theirs).and_then(|version| may(&theirs).map(|()| version)) {
        Ok(version) => version,
        Err(refusal) => {
            writer.send(&Answer::Refused(refusal)).await.map_err(nobody)?;
            let claims_nothing = refusal == Refusal::NotAPeer;
            return Err((Failed::ByUs(refusal), (!claims_nothing).then_some(from)));
        }
    };
    let (echo, nonce) = (theirs.nonce, ours.nonce);
    let hello = Hello { to: from, ..ours };
    writer.send(&Answer::Hello { version, echo, hello }).await.map_err(nobody)?;
    let judged = match reader.next::<Proof>().await.map_err(nobody)?.ok_or_else(|| claimed(Failed::HungUp))? {
        Proof::Refused(refusal) => return Err(claimed(Failed::ByThem(refusal))),
        Proof::Echo(echoed) if echoed != nonce => Err(Refusal::Replayed),
        Proof::Echo(_) => meet(theirs.clone()).await,
    };
    if let Err(refusal) = judged {
        writer.send(&Entry::Refused(refusal)).await.map_err(nobody)?;
        return Err(claimed(Failed::ByUs(refusal)));
    }
    writer.send(&Entry::Welcome).await.map_err(nobody)?;
    Ok(Settled { seed: seed(echo, nonce), version, peer: theirs })
}
