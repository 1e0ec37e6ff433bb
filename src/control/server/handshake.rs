//! Letting one console in: what it is, what it may, and who says so.
//!
//! Kept true: nothing but a greeting of [`HELLO_BYTES_MAX`] bytes is decoded before the proof was checked; what is said
//! before that tells nothing but this protocol's name.
//! Not here: how long it may take, how many may knock (`mod.rs`).

use std::net::SocketAddr;
use std::sync::Arc;

use super::desk::{Desk, Stay};
use crate::control::audit::Entry as Told;
use crate::control::operation::Access;
use crate::control::protocol::{
    Challenge, Entry, FRAME_BYTES_MAX, HELLO_BYTES_MAX, Hello, MAGIC, Proof, Refusal, VERSIONS, Welcome,
};
use crate::control::tokens::{Claim, is_name, random_bytes};
use crate::transport::frame::{FrameReader, FrameWriter, frames};
use crate::transport::net::Wire;

/// Who has come in.
pub(super) struct Guest {
    /// As `name`, or `~name` where nothing proves it.
    pub(super) who: String,
    pub(super) from: SocketAddr,
    pub(super) session: u128,
    pub(super) access: Access,
    _stay: Stay,
}

/// Lets a console in, or not.
pub(super) async fn enter(desk: &Arc<Desk>, wire: Wire, from: SocketAddr) -> Option<(Guest, FrameReader, FrameWriter)> {
    let wire = match &desk.spec.secure {
        Some(secure) => match secure(wire).await {
            Ok(wire) => wire,
            Err(error) => {
                tracing::debug!(%from, %error, "a console came without the encryption that is wanted");
                return None;
            }
        },
        None => wire,
    };
    let (mut reader, mut writer) = frames(wire, HELLO_BYTES_MAX);
    let hello = match reader.next::<Hello>().await {
        Ok(Some(hello)) if hello.magic == MAGIC && is_name(&hello.name) => hello,
        Ok(None) => return None,
        Ok(Some(_)) | Err(_) => {
            // Whoever it is may not even listen.
            let _ = writer.send(&Challenge::Refused(Refusal::NotAConsole)).await;
            return None;
        }
    };
    let version = VERSIONS.1.min(hello.versions.1);
    if version < VERSIONS.0.max(hello.versions.0) {
        let _ = writer.send(&Challenge::Refused(Refusal::Version)).await;
        return None;
    }
    let claim =
        Claim { console_nonce: hello.nonce, node_nonce: random_bytes(), session: hello.session, access: hello.access };
    // Faults always take a token.
    let proof_wanted = desk.spec.tokens.is_some() || hello.access == Access::Chaos;
    writer.send(&Challenge::Prove { version, nonce: claim.node_nonce, proof_wanted }).await.ok()?;
    let proof = reader.next::<Proof>().await.ok()??;
    match judge(desk, &hello, &claim, &proof, proof_wanted, from) {
        Ok((guest, welcome)) => {
            writer.set_max_bytes(FRAME_BYTES_MAX);
            writer.send(&Entry::Welcome(Box::new(welcome))).await.ok()?;
            reader.set_max_bytes(FRAME_BYTES_MAX);
            Some((guest, reader, writer))
        }
        Err(why) => {
            desk.tell(Told {
                who: format!("~{}", hello.name),
                address: from.to_string(),
                access: hello.access.to_string(),
                session: hello.session,
                what: "connect".into(),
                result: format!("refused: {why}"),
            });
            let _ = writer.send(&Entry::Refused(why)).await;
            None
        }
    }
}

fn judge(
    desk: &Arc<Desk>,
    hello: &Hello,
    claim: &Claim,
    proof: &Proof,
    proof_wanted: bool,
    from: SocketAddr,
) -> Result<(Guest, Welcome), Refusal> {
    let proved = match &desk.spec.tokens {
        Some(tokens) => Some(tokens.check(claim, &proof.hmac).ok_or(Refusal::NotAllowed)?.name.clone()),
        None => None,
    };
    if hello.access == Access::Chaos && !desk.spec.keys.both() {
        return Err(Refusal::ChaosDisabled);
    }
    if proof_wanted && proved.is_none() {
        return Err(Refusal::NotAllowed);
    }
    let Some((standing, _)) = desk.spec.node.standing() else { return Err(Refusal::Starting) };
    let who = proved.clone().unwrap_or_else(|| format!("~{}", hello.name));
    let stay = desk.enter(hello.session, proved.as_deref())?;
    let guest = Guest { who, from, session: hello.session, access: hello.access, _stay: stay };
    let welcome = Welcome {
        node: desk.spec.id,
        cluster: desk.spec.cluster,
        name: desk.spec.name.clone(),
        epoch: standing.epoch,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        access: hello.access,
        chaos: desk.spec.keys.both(),
        members: desk.spec.node.members(),
        insecure: desk.spec.insecure,
    };
    Ok((guest, welcome))
}
