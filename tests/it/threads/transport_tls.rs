//! Nodes and consoles with certificates, as `raft-tui certs` makes them.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_tui::cli::Exit;
use raft_tui::cli::certs::{self, CertsArguments};
use raft_tui::transport::tcp::TcpSpec;
use raft_tui::transport::tls::{Tls, TlsError};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::wire::{Book, End, N1, N2, pair, spec, until, until_heard};

fn made() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("certs");
    let mut told = Vec::new();
    let exit = certs::run(&CertsArguments { out, nodes: 3, renew: false }, &mut told).unwrap();
    assert_eq!(exit, Exit::Fine);
    let told = String::from_utf8(told).unwrap();
    assert!(told.contains("development") && told.contains("ca.key"), "{told}");
    folder
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("certs").join(name)
}

fn load(folder: &TempDir, name: &str) -> Tls {
    let own = |ending| file(folder, &format!("{name}.{ending}"));
    Tls::load(&file(folder, "ca.pem"), &own("pem"), &own("key")).unwrap()
}

fn with(book: &Book, node: raft_tui::raft::NodeId, tls: Tls) -> TcpSpec {
    TcpSpec { tls: Some(Arc::new(tls)), ..spec(book.clone(), node) }
}

#[tokio::test]
async fn nodes_with_their_certificates_speak_with_each_other() {
    let (folder, book) = (made(), Book::default());
    let mut one = End::open(&book, with(&book, N1, load(&folder, "n1"))).await;
    let mut two = End::open(&book, with(&book, N2, load(&folder, "n2"))).await;
    until_heard(&mut one, &mut two).await;
    until_heard(&mut two, &mut one).await;
    assert!(one.peers.alarms().is_empty(), "{:?}", one.peers.alarms());
}

#[tokio::test]
async fn the_certificate_of_another_node_is_refused_and_named_on_both_sides() {
    let (folder, book) = (made(), Book::default());
    let mut one = End::open(&book, with(&book, N1, load(&folder, "n1"))).await;
    let mut two = End::open(&book, with(&book, N2, load(&folder, "n3"))).await;
    until("here", || {
        one.say(N2);
        one.alarmed("is not that of n2")
    })
    .await;
    until("there", || {
        two.say(N1);
        two.alarmed("does not accept the certificate of this node")
    })
    .await;
    assert!(one.heard().is_empty() && two.heard().is_empty());
}

#[tokio::test]
async fn a_certificate_of_another_ca_or_of_another_node_opens_no_door_of_nodes() {
    let (folder, other, book) = (made(), made(), Book::default());
    let mut one = End::open(&book, with(&book, N1, load(&folder, "n1"))).await;
    let mut stranger = End::open(&book, with(&book, N2, load(&other, "n2"))).await;
    until("it was tried", || {
        stranger.say(N1);
        stranger.peers.view()[0].refusal.as_deref().is_some_and(|why| why.contains("not signed by the CA"))
    })
    .await;
    until("it was tried from here", || one.peers.view()[0].refusal.is_some()).await;
    until("it is an alarm", || one.alarmed("not signed by the CA that is believed")).await;
    until("it is counted", || one.peers.door().malformed > 0).await;
    assert!(one.heard().is_empty() && !one.is_connected(N2) && !stranger.is_connected(N1));
    drop(stranger);
    let mut third = End::open(&book, with(&book, N2, load(&folder, "n3"))).await;
    until("it is refused", || {
        third.say(N1);
        third.alarmed("does not accept the certificate") || third.peers.view()[0].refusal.is_some()
    })
    .await;
    assert!(one.heard().is_empty() && !third.is_connected(N1));
}

#[tokio::test]
async fn a_node_without_tls_does_not_get_through_to_one_with_it() {
    let (folder, book) = (made(), Book::default());
    let mut one = End::open(&book, with(&book, N1, load(&folder, "n1"))).await;
    let mut two = End::plain(&book, N2).await;
    until("it was tried", || {
        two.say(N1);
        two.peers.view()[0].refusal.is_some() && one.peers.view()[0].refusal.is_some()
    })
    .await;
    assert!(one.heard().is_empty() && !two.is_connected(N1));
}

#[tokio::test]
async fn consoles_may_come_without_a_certificate_but_not_with_a_wrong_one() {
    let (folder, other) = (made(), made());
    let node = load(&folder, "n1");
    for console in [Tls::trusting(&file(&folder, "ca.pem")).unwrap(), load(&folder, "n3")] {
        let (dialled, accepted) = pair().await;
        let (console, node) = tokio::join!(console.connect(dialled), node.accept_console(accepted));
        let ((mut console, name), mut node) = (console.unwrap(), node.unwrap());
        assert!(name.is(N1) && !name.is(N2));
        console.write_all(b"hello").await.unwrap();
        console.flush().await.unwrap();
        let mut heard = [0; 5];
        node.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }
    // A node of a CA that the console does not know.
    let (dialled, accepted) = pair().await;
    let stranger = Tls::trusting(&file(&other, "ca.pem")).unwrap();
    let (console, _) = tokio::join!(stranger.connect(dialled), node.accept_console(accepted));
    assert!(console.is_err());
    // A console of a CA that the node does not know: it may find out late, but the node does not let it in.
    let (dialled, accepted) = pair().await;
    let mixed = Tls::load(&file(&folder, "ca.pem"), &file(&other, "n3.pem"), &file(&other, "n3.key")).unwrap();
    let (_, node) = tokio::join!(mixed.connect(dialled), node.accept_console(accepted));
    assert!(node.is_err());
    let (dialled, _) = pair().await;
    assert!(Tls::trusting(&file(&folder, "ca.pem")).unwrap().accept_peer(dialled).await.is_err());
}

#[test]
fn what_is_made_is_private_and_nothing_is_overwritten() {
    let folder = made();
    let names = ["ca", "n1", "n2", "n3"];
    for name in names {
        assert_eq!(file(&folder, &format!("{name}.key")).metadata().unwrap().mode() & 0o777, 0o600);
        assert!(file(&folder, &format!("{name}.pem")).is_file());
    }
    assert_eq!(fs::read_dir(file(&folder, "")).unwrap().count(), 2 * names.len());
    let before = fs::read(file(&folder, "n1.key")).unwrap();
    let again = CertsArguments { out: file(&folder, ""), nodes: 1, renew: false };
    let error = certs::run(&again, &mut Vec::new()).unwrap_err();
    assert_eq!(Exit::of(&error), Exit::NoDataFolder);
    assert!(format!("{error:#}").contains("choose another --out"), "{error:#}");
    assert_eq!(fs::read(file(&folder, "n1.key")).unwrap(), before);
}

fn refused(ca: &Path, cert: &Path, key: &Path) -> TlsError {
    Tls::load(ca, cert, key).unwrap_err()
}

#[test]
fn files_that_do_not_fit_are_named() {
    let folder = made();
    let (ca, cert, key) = (file(&folder, "ca.pem"), file(&folder, "n1.pem"), file(&folder, "n1.key"));
    assert!(refused(&file(&folder, "none.pem"), &cert, &key).to_string().contains("none.pem"));
    assert!(refused(&ca, &cert, &file(&folder, "n2.key")).to_string().contains("the key that belongs to it"));
    assert!(matches!(refused(&key, &cert, &key), TlsError::Pem { wanted: "certificate", .. }));
    assert!(matches!(refused(&ca, &cert, &ca), TlsError::Open { .. }));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = refused(&ca, &cert, &key);
    assert!(matches!(error, TlsError::Open { .. }) && error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn keys_are_not_shown() {
    let folder = made();
    assert_eq!(format!("{:?}", load(&folder, "n1")), "Tls(with a certificate)");
}
