//! Who may what: the access that each wish takes, and when a session must have been armed first. Pure.
//!
//! | wish | access | armed |
//! | --- | --- | --- |
//! | read, arm, disarm | viewer | no |
//! | submit | operator | no: clients are no people at a screen |
//! | heal | chaos | no: whoever's time is up must still be able to clean up |
//! | faults, failing the disk, crash | chaos | as chaos |
//!
//! Kept true: what is not in this table cannot be done by a console; a session never does more than its connection may.
//! Not here: how access is proved (`tokens.rs`), bounds of connections (`server/`).

use super::operation::Access;
use super::protocol::Wish;
use crate::text::sanitize_str;

/// Longest time for which a session can be armed, in milliseconds.
pub const ARM_MS_MAX: u64 = 60 * 60 * 1_000;

/// Longest reason for it, in bytes.
pub const REASON_BYTES_MAX: usize = 256;

/// What a session said that it was going to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Armed {
    /// For what.
    pub access: Access,
    /// Until when, in milliseconds of the node's time.
    pub until_ms: u64,
    /// Why, safe to show.
    pub reason: String,
}

/// Whether faults can be injected into a node: it takes both keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChaosKeys {
    /// The cluster was bootstrapped with `--chaos`.
    pub cluster: bool,
    /// The node was started with `--enable-chaos`.
    pub node: bool,
}

impl ChaosKeys {
    /// Both are there.
    #[must_use]
    pub const fn both(self) -> bool {
        self.cluster && self.node
    }
}

/// The access that a wish takes.
#[must_use]
pub const fn needed(wish: &Wish) -> Access {
    match wish {
        Wish::Read { .. } | Wish::Arm { .. } | Wish::Disarm => Access::Viewer,
        Wish::Submit { .. } => Access::Operator,
        Wish::Fault(_) | Wish::HealFault { .. } | Wish::HealAll | Wish::HealLinks(_) | Wish::FailDisk | Wish::Crash => {
            Access::Chaos
        }
    }
}

/// What the session must be armed for, if it must.
#[must_use]
pub const fn arms_needed(wish: &Wish) -> Option<Access> {
    match wish {
        Wish::Fault(_) | Wish::FailDisk | Wish::Crash => Some(Access::Chaos),
        Wish::Read { .. }
        | Wish::Submit { .. }
        | Wish::Arm { .. }
        | Wish::Disarm
        | Wish::HealFault { .. }
        | Wish::HealAll
        | Wish::HealLinks(_) => None,
    }
}

/// Whether a wish is told in the audit log: what changes the cluster, but not each command of a client.
#[must_use]
pub const fn is_audited(wish: &Wish) -> bool {
    !matches!(wish, Wish::Read { .. } | Wish::Submit { .. })
}

/// Why a wish is not allowed, and what to try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The connection may not.
    #[error("it takes {needed} access and this connection has {has}: attach with a token for {needed}")]
    Access {
        /// What it takes.
        needed: Access,
        /// What the connection has.
        has: Access,
    },
    /// Fault injection is off.
    #[error(
        "fault injection is off: it takes a cluster bootstrapped with --chaos and a node started with --enable-chaos"
    )]
    ChaosDisabled,
    /// The session has not said why.
    #[error("arm first and say why: `arm {} 15m REASON`", if *.needed == Access::Chaos { "drill" } else { "operate" })]
    NotArmed {
        /// For what.
        needed: Access,
    },
    /// A time or a reason that cannot be.
    #[error("{0}")]
    Arm(String),
}

/// Whether a connection with access `has`, whose session is `armed`, may have `wish` at `now_ms`.
pub fn check(wish: &Wish, has: Access, keys: ChaosKeys, armed: Option<&Armed>, now_ms: u64) -> Result<(), Forbidden> {
    let needed = needed(wish);
    if needed == Access::Chaos && !keys.both() {
        return Err(Forbidden::ChaosDisabled);
    }
    if has < needed {
        return Err(Forbidden::Access { needed, has });
    }
    match arms_needed(wish) {
        Some(needed) if armed.is_none_or(|armed| armed.access < needed || armed.until_ms <= now_ms) => {
            Err(Forbidden::NotArmed { needed })
        }
        Some(_) | None => Ok(()),
    }
}

/// Arms a session, for no more than its connection may.
pub fn arm(
    access: Access,
    duration_ms: u64,
    reason: &str,
    has: Access,
    keys: ChaosKeys,
    now_ms: u64,
) -> Result<Armed, Forbidden> {
    if access == Access::Viewer {
        return Err(Forbidden::Arm("watching needs no arming: arm for operator or chaos".into()));
    }
    if access == Access::Chaos && !keys.both() {
        return Err(Forbidden::ChaosDisabled);
    }
    if has < access {
        return Err(Forbidden::Access { needed: access, has });
    }
    if duration_ms == 0 || duration_ms > ARM_MS_MAX {
        return Err(Forbidden::Arm("a session is armed for one hour at most: say how long, as in 15m".into()));
    }
    if reason.len() > REASON_BYTES_MAX {
        return Err(Forbidden::Arm(format!("the reason is longer than {REASON_BYTES_MAX} bytes: say it shorter")));
    }
    Ok(Armed { access, until_ms: now_ms.saturating_add(duration_ms), reason: sanitize_str(reason.trim()) })
}
