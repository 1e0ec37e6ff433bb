//! Faults as leases: each belongs to a session, ends with its time, and soon after the session falls silent. Pure.
//!
//! Nothing of this is on disk: a node that starts again is healthy, whatever was done to it before.
//!
//! Kept true: no fault outlives [`TTL_MS_MAX`], nor its session's last word by more than [`SILENCE_MS_MAX`]; what is in
//! force is what all live leases say together, the later put over the earlier.
//! Not here: who may (`access.rs`), what rules do to messages (`transport/faults.rs`).

use std::collections::BTreeMap;

use super::operation::{LinkRule, Links};
use super::protocol::{Fault, FaultView};
use crate::raft::NodeId;
use crate::text::sanitize_str;
use crate::transport::faults::Rules;

/// Longest lease in milliseconds.
pub const TTL_MS_MAX: u64 = 10 * 60 * 1_000;

/// So long after a session's last word its faults are healed, in milliseconds.
pub const SILENCE_MS_MAX: u64 = 10_000;

/// Most live faults of one session, and of all. Seven nodes have 42 links and seven disks, and a drill may put a fault on
/// each; nobody takes more than half of the room of all. What pictures of a node cost at most is set by the second.
pub const FAULTS_MAX: usize = 64;
/// See [`FAULTS_MAX`].
pub const ALL_FAULTS_MAX: usize = 128;

/// Most rules in one fault.
pub const RULES_MAX: usize = 1_024;

/// Longest text of a fault in bytes.
pub const TEXT_BYTES_MAX: usize = 256;

/// Longest delay of a message or a disk, in microseconds of cluster time.
pub const DELAY_US_MAX: u64 = 60_000_000;

/// Which lease: of which session, with which number there.
pub type LeaseId = (u128, u64);

/// A fault in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose, as `name` or, unproved, `~name`.
    pub by: String,
    /// In the grammar's words, safe to show.
    pub text: String,
    /// Rises with each put: the later goes over the earlier.
    placed: u64,
    /// What it does to links, as rules of single directed links.
    rules: Rules,
    disk_delay_us: Option<u64>,
    until_ms: u64,
}

/// Why a fault is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// No time, or too much.
    #[error("a fault lasts 1 ms to 10 minutes: give it less time, and renew it while it is wanted")]
    Time,
    /// The session has many already.
    #[error("this session has {FAULTS_MAX} faults in force already: heal one first")]
    TooMany,
    /// All sessions together have many already.
    #[error("{ALL_FAULTS_MAX} faults are in force on this node already: heal one first")]
    TooManyInAll,
    /// It says nothing, or too much.
    #[error("a fault has 1 to {RULES_MAX} rules or a disk delay, and a text of {TEXT_BYTES_MAX} bytes at most")]
    Size,
    /// A number out of bounds.
    #[error("a delay is a minute at most, a chance 100%")]
    Bounds,
    /// A node that is none.
    #[error("there is no {0} in this cluster")]
    NoSuchNode(NodeId),
}

/// Why a lease ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its time was up.
    Time,
    /// Its session fell silent.
    Silence,
}

/// All leases of one node.
#[derive(Clone, Debug)]
pub struct Leases {
    members: Vec<NodeId>,
    live: BTreeMap<LeaseId, Lease>,
    /// When each session with a lease was heard last.
    heard_ms: BTreeMap<u128, u64>,
    placed: u64,
}

impl Leases {
    /// None, in a cluster of these members.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = NodeId>) -> Self {
        let members = members.into_iter().collect();
        Self { members, live: BTreeMap::new(), heard_ms: BTreeMap::new(), placed: 0 }
    }

    /// Puts a fault in force, or another in the place of the one with its number. True: it was there before.
    pub fn put(&mut self, session: u128, by: &str, fault: &Fault, now_ms: u64) -> Result<bool, LeaseError> {
        let Fault { number, text, links, disk_delay_us, ttl_ms } = fault;
        if *ttl_ms == 0 || *ttl_ms > TTL_MS_MAX {
            return Err(LeaseError::Time);
        }
        let says_nothing = links.is_empty() && disk_delay_us.is_none();
        if says_nothing || links.len() > RULES_MAX || text.len() > TEXT_BYTES_MAX {
            return Err(LeaseError::Size);
        }
        if disk_delay_us.is_some_and(|us| us > DELAY_US_MAX) {
            return Err(LeaseError::Bounds);
        }
        let mut rules = Rules::new(self.members.iter().copied(), 0);
        for (links, rule) in links {
            self.check_nodes(*links)?;
            check_bounds(*rule)?;
            rules.set(*links, *rule);
        }
        let known = self.live.contains_key(&(session, *number));
        if !known && self.live.keys().filter(|(owner, _)| *owner == session).count() >= FAULTS_MAX {
            return Err(LeaseError::TooMany);
        }
        if !known && self.live.len() >= ALL_FAULTS_MAX {
            return Err(LeaseError::TooManyInAll);
        }
        self.placed += 1;
        let lease = Lease {
            by: by.to_owned(),
            text: sanitize_str(text),
            // Renewing does not put a fault over those that came after it.
            placed: self.live.get(&(session, *number)).map_or(self.placed, |lease| lease.placed),
            rules,
            disk_delay_us: *disk_delay_us,
            until_ms: now_ms.saturating_add(*ttl_ms),
        };
        self.live.insert((session, *number), lease);
        self.heard_ms.insert(session, now_ms);
        Ok(known)
    }

    fn check_nodes(&self, links: Links) -> Result<(), LeaseError> {
        let nodes = match links {
            Links::One { from, to } => vec![from, to],
            Links::Between(one, other) => vec![one, other],
            Links::Of(node) => vec![node],
            Links::All => Vec::new(),
        };
        let unknown = nodes.into_iter().find(|node| !self.members.contains(node));
        unknown.map_or(Ok(()), |node| Err(LeaseError::NoSuchNode(node)))
    }

    /// The session was heard.
    pub fn alive(&mut self, session: u128, now_ms: u64) {
        if let Some(heard_ms) = self.heard_ms.get_mut(&session) {
            *heard_ms = now_ms.max(*heard_ms);
        }
    }

    /// Takes one away.
    pub fn heal(&mut self, id: LeaseId) -> Option<Lease> {
        let healed = self.live.remove(&id);
        self.forget_sessions();
        healed
    }

    /// Takes all away, whoever put them there.
    pub fn heal_all(&mut self) -> Vec<(LeaseId, Lease)> {
        self.heard_ms.clear();
        std::mem::take(&mut self.live).into_iter().collect()
    }

    /// Takes what is done to some links away, whoever does it; gives the leases of which nothing is left.
    pub fn heal_links(&mut self, links: Links) -> Vec<(LeaseId, Lease)> {
        let ended = self.live.extract_if(.., |_, lease| {
            lease.rules.heal(links);
            lease.rules.is_clean() && lease.disk_delay_us.is_none()
        });
        let ended = ended.collect();
        self.forget_sessions();
        ended
    }

    /// Takes away what has ended by now, and says why it did.
    pub fn expire(&mut self, now_ms: u64) -> Vec<(LeaseId, Lease, Why)> {
        let heard_ms = &self.heard_ms;
        let why = |session: &u128, lease: &Lease| {
            let heard_ms = heard_ms.get(session).copied().unwrap_or(0);
            let silent = now_ms >= heard_ms.saturating_add(SILENCE_MS_MAX);
            let over = now_ms >= lease.until_ms;
            if over { Some(Why::Time) } else { silent.then_some(Why::Silence) }
        };
        let ended = self.live.extract_if(.., |(session, _), lease| why(session, lease).is_some());
        let ended: Vec<_> = ended
            .filter_map(|(id, lease)| {
                let why = why(&id.0, &lease)?;
                Some((id, lease, why))
            })
            .collect();
        self.forget_sessions();
        ended
    }

    /// When the next ends if nothing more is heard.
    #[must_use]
    pub fn next_end_ms(&self) -> Option<u64> {
        let end = |((session, _), lease): (&LeaseId, &Lease)| {
            let heard_ms = self.heard_ms.get(session).copied().unwrap_or(0);
            lease.until_ms.min(heard_ms.saturating_add(SILENCE_MS_MAX))
        };
        self.live.iter().map(end).min()
    }

    /// What all live leases do to links, on top of `clean`.
    #[must_use]
    pub fn rules(&self, clean: &Rules) -> Rules {
        let mut all = clean.clone();
        for lease in self.in_order() {
            for (links, rule) in lease.rules.list() {
                all.set(links, rule);
            }
        }
        all
    }

    /// How much longer each group of disk writes takes: the longest that any lease says.
    #[must_use]
    pub fn disk_delay_us(&self) -> Option<u64> {
        self.live.values().filter_map(|lease| lease.disk_delay_us).max()
    }

    /// All live leases, in the order in which they were put.
    #[must_use]
    pub fn views(&self, now_ms: u64) -> Vec<FaultView> {
        let mut views: Vec<_> = self.live.iter().collect();
        views.sort_by_key(|(_, lease)| lease.placed);
        let view = |((session, number), lease): (&LeaseId, &Lease)| FaultView {
            by: lease.by.clone(),
            session: *session,
            number: *number,
            text: lease.text.clone(),
            left_ms: lease.until_ms.saturating_sub(now_ms),
        };
        views.into_iter().map(view).collect()
    }

    /// Whether nothing is in force.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    fn in_order(&self) -> Vec<&Lease> {
        let mut leases: Vec<_> = self.live.values().collect();
        leases.sort_by_key(|lease| lease.placed);
        leases
    }

    fn forget_sessions(&mut self) {
        let live = &self.live;
        self.heard_ms.retain(|session, _| live.range((*session, 0)..=(*session, u64::MAX)).next().is_some());
    }
}

fn check_bounds(rule: LinkRule) -> Result<(), LeaseError> {
    let fits = match rule {
        LinkRule::Cut { .. } => true,
        LinkRule::Delay { delay_us, jitter_us } => delay_us <= DELAY_US_MAX && jitter_us <= DELAY_US_MAX,
        LinkRule::Loss { per_million } | LinkRule::Duplicate { per_million } | LinkRule::Reorder { per_million } => {
            per_million <= 1_000_000
        }
    };
    if fits { Ok(()) } else { Err(LeaseError::Bounds) }
}
