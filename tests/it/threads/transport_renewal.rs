//! Certificates of running nodes: replaced, replaced by half, and near their end.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use raft_tui::cli::Exit;
use raft_tui::cli::certs::{self, CertsArguments};
use raft_tui::control::client::{Line, LineSpec, State};
use raft_tui::raft::NodeId;
use raft_tui::transport::expiry::Ends;
use raft_tui::transport::net::{Net as _, Tcp};
use raft_tui::transport::renewal::Renewal;
use raft_tui::transport::tcp::TcpSpec;
use raft_tui::transport::tls::Tls;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tempfile::TempDir;

use crate::support::scripted;
use crate::support::wire::{Book, End, N1, N2, pair, spec, store, until, until_heard};

const DAY: Duration = Duration::from_hours(24);
/// 2130-01-02: later than any machine that runs this.
const THE_END: Duration = Duration::from_secs(DAYS_UNTIL_2130 * 86_400 + 86_400);
const DAYS_UNTIL_2130: u64 = 58_439;

/// A CA of a test's own, which gives certificates any end.
struct Authority {
    folder: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

fn params(name: &str, dns: &[String], ends: Duration) -> CertificateParams {
    let mut params = CertificateParams::new(dns).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_after = date_time_ymd(1970, 1, 1) + ends;
    params
}

impl Authority {
    fn new(ends: Duration) -> Self {
        let mut params = params("an authority", &[], ends);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate of `node`, and its key, where `node`'s are.
    fn sign(&self, node: NodeId, ends: Duration) {
        let key = KeyPair::generate().unwrap();
        let certificate = params("a node", &[format!("{node}.raft-tui")], ends).signed_by(&key, &self.issuer).unwrap();
        let file = self.file(&format!("{node}.key"));
        fs::write(&file, key.serialize_pem()).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(self.file(&format!("{node}.pem")), certificate.pem()).unwrap();
    }

    fn load(&self, node: NodeId) -> Arc<Tls> {
        let own = |ending| self.file(&format!("{node}.{ending}"));
        Arc::new(Tls::load(&self.file("ca.pem"), &own("pem"), &own("key")).unwrap())
    }

    fn both(ends: Duration) -> Self {
        let this = Self::new(ends);
        this.sign(N1, ends);
        this.sign(N2, ends);
        this
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

fn yesterday() -> Duration {
    now().checked_sub(DAY).unwrap()
}

fn before_the_end(days: u32) -> Duration {
    THE_END.checked_sub(days * DAY).unwrap()
}

fn far() -> Duration {
    now() + 1_000 * DAY
}

fn with(book: &Book, node: NodeId, tls: &Arc<Tls>) -> TcpSpec {
    TcpSpec { tls: Some(Arc::clone(tls)), ..spec(book.clone(), node) }
}

fn alarms(renewal: &Renewal, now: SystemTime) -> String {
    renewal.look(now);
    renewal.alarms().join("\n")
}

#[tokio::test]
async fn peers_with_renewed_files_find_each_other_and_those_connected_go_on() {
    let (live, other, book) = (Authority::both(far()), Authority::both(far()), Book::default());
    let (tls_one, tls_two) = (live.load(N1), live.load(N2));
    let mut one = End::open(&book, with(&book, N1, &tls_one)).await;
    let mut two = End::open(&book, with(&book, N2, &tls_two)).await;
    until_heard(&mut one, &mut two).await;
    until_heard(&mut two, &mut one).await;
    let old = live.load(N2);
    let watched = [Renewal::new(Arc::clone(&tls_one), N1), Renewal::new(tls_two, N2)];
    for name in ["ca.pem", "n1.pem", "n1.key", "n2.pem", "n2.key"] {
        fs::copy(other.file(name), live.file(name)).unwrap();
    }
    assert!(watched.iter().all(|renewal| alarms(renewal, SystemTime::now()).is_empty()));
    assert!(one.is_connected(N2) && two.is_connected(N1));
    until_heard(&mut one, &mut two).await;

    // Another process of the second, with the new files: the first has not been opened again.
    drop(two);
    let mut two = End::open(&book, with(&book, N2, &other.load(N2))).await;
    two.live(2, store(N2));
    until_heard(&mut one, &mut two).await;
    until_heard(&mut two, &mut one).await;
    // Whoever still comes with the old is refused.
    let (dialled, accepted) = pair().await;
    let (_, refused) = tokio::join!(old.connect(dialled), tls_one.accept_peer(accepted));
    assert!(refused.is_err());
}

#[test]
fn what_does_not_fit_leaves_the_old_in_force_and_is_an_alarm_until_it_does() {
    let live = Authority::both(far());
    let renewal = Renewal::new(live.load(N1), N1);
    let look = || alarms(&renewal, SystemTime::now());
    let (cert, key, ca) = (live.file("n1.pem"), live.file("n1.key"), live.file("ca.pem"));
    let good = [&cert, &key, &ca].map(|file| fs::read(file).unwrap());
    let back = || {
        for (file, bytes) in [&cert, &key, &ca].into_iter().zip(&good) {
            fs::write(file, bytes).unwrap();
        }
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(look(), "");
    };
    assert_eq!(look(), "");
    let wrong = |words: &[&str]| {
        let told = look();
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        assert!(told.contains("those read before stay in force"), "{told}");
        assert_eq!(look(), told, "for as long as it holds");
        assert!(!told.contains("BEGIN") && told.lines().count() == 1, "{told}");
        back();
    };
    let half = |file: &Path, bytes: &[u8]| fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
    half(&cert, &good[0]);
    wrong(&["n1.pem", "holds no certificate"]);
    fs::write(&key, "").unwrap();
    wrong(&["n1.key", "holds no private key"]);
    half(&ca, &good[2]);
    wrong(&["ca.pem", "holds no certificate"]);
    fs::remove_file(&cert).unwrap();
    wrong(&["reading", "n1.pem"]);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    wrong(&["n1.key", "chmod 600"]);
    fs::copy(live.file("n2.pem"), &cert).unwrap();
    wrong(&["n1.pem", "n1.key", "the key that belongs to it"]);
    fs::copy(live.file("n2.key"), &key).unwrap();
    fs::copy(live.file("n2.pem"), &cert).unwrap();
    wrong(&["n1.pem is not the certificate of n1"]);
    fs::copy(Authority::new(far()).file("ca.pem"), &ca).unwrap();
    wrong(&["n1.pem", "ca.pem", "must be signed by a CA in that file"]);
    live.sign(N1, yesterday());
    wrong(&["n1.pem", "expired"]);

    // A new pair is not wrong, and neither is a second CA beside the first.
    live.sign(N1, far());
    fs::write(&ca, [&good[2][..], &fs::read(Authority::new(far()).file("ca.pem")).unwrap()].concat()).unwrap();
    assert_eq!(look(), "");
}

#[test]
fn a_certificate_that_ends_within_thirty_days_is_named_with_what_to_do() {
    let live = Authority::new(THE_END + 100 * DAY);
    live.sign(N1, THE_END);
    let renewal = Renewal::new(live.load(N1), N1);
    let at = |when: Duration| alarms(&renewal, UNIX_EPOCH + when);
    let file = live.file("n1.pem").display().to_string();
    assert_eq!(at(before_the_end(30)), "");
    let remedy = "put a renewed certificate there, with its key: it is taken up without a restart";
    assert_eq!(
        at(before_the_end(30) + Duration::from_secs(1)),
        format!("the certificate in {file} ends on 2130-01-02 (29 days left); {remedy}")
    );
    assert!(at(before_the_end(1)).contains("(1 day left)"));
    assert!(at(THE_END).contains("ends on 2130-01-02 (less than a day left)"));
    assert!(at(THE_END + Duration::from_secs(1)).contains("has expired: it ended on 2130-01-02 (less than a day ago)"));
    assert!(at(THE_END + 3 * DAY).contains("(2 days ago)"));
    // Replaced, it is no longer told of.
    live.sign(N1, THE_END + 90 * DAY);
    assert_eq!(at(THE_END), "");
    // Both, when the CA's own end comes near.
    let told = at(THE_END + 80 * DAY);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.contains("ca.pem ends on 2130-04-12 (20 days left); add the certificate of a new CA"), "{told}");
    // One that follows it in the same file is enough.
    let next = fs::read(Authority::new(THE_END + 900 * DAY).file("ca.pem")).unwrap();
    fs::write(live.file("ca.pem"), [fs::read(live.file("ca.pem")).unwrap(), next].concat()).unwrap();
    assert_eq!(at(THE_END + 80 * DAY).lines().count(), 1);
}

#[test]
fn ends_are_read_from_any_certificate_and_from_nothing_else() {
    for (year, month, day, text) in [
        (1970, 1, 1, "1970-01-01"),
        (2000, 2, 29, "2000-02-29"),
        (2049, 12, 31, "2049-12-31"),
        (2050, 1, 1, "2050-01-01"),
        (2100, 3, 1, "2100-03-01"),
        (9999, 12, 31, "9999-12-31"),
    ] {
        let at = date_time_ymd(year, month, day);
        let mut params = CertificateParams::new(["n1.raft-tui".to_owned()]).unwrap();
        params.not_after = at;
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        let ends = Ends::of(&der).unwrap();
        assert_eq!((ends.to_string(), i64::try_from(ends.seconds()).unwrap()), (text.to_owned(), at.unix_timestamp()));
        for length in 0..der.len() {
            assert_eq!(Ends::of(&der[..length]), None, "cut to {length}");
            let mut altered = der.clone();
            altered[length] ^= 0xFF;
            // Any answer will do that is not a panic.
            let _ = Ends::of(&altered);
        }
    }
}

#[tokio::test]
async fn an_expired_certificate_of_a_peer_is_an_alarm_that_says_so() {
    let (live, book) = (Authority::both(far()), Book::default());
    live.sign(N2, yesterday());
    let mut one = End::open(&book, with(&book, N1, &live.load(N1))).await;
    let mut two = End::open(&book, with(&book, N2, &live.load(N2))).await;
    until("the one that is good says so", || {
        one.say(N2);
        one.alarmed("the certificate of n2 at n2 has expired: renew it there")
    })
    .await;
    until("the one that has expired says so", || {
        two.say(N1);
        two.alarmed("n1 at n1 does not accept the certificate of this node: it has expired")
    })
    .await;
    assert!(one.heard().is_empty() && two.heard().is_empty());
}

#[tokio::test]
async fn a_console_says_that_the_certificate_of_a_node_has_expired() {
    let live = Authority::new(far());
    live.sign(N1, yesterday());
    let tls = live.load(N1);
    let mut door = Tcp.listen("127.0.0.1:0").await.unwrap();
    let trusting = Tls::trusting(&live.file("ca.pem")).unwrap();
    let line = Line::open(LineSpec { tls: Some(Arc::new(trusting)), ..scripted::spec(door.address().to_string()) });
    let doorkeeper = tokio::spawn(async move {
        while let Ok((wire, _)) = door.accept().await {
            assert!(tls.accept_console(wire).await.is_err());
        }
    });
    until("it is told", || match &line.heard().borrow().state {
        State::Lost { why, .. } => why.contains("its certificate has expired: renew it there"),
        State::Connecting | State::Live => false,
    })
    .await;
    doorkeeper.abort();
}

#[tokio::test]
async fn a_console_reads_its_ca_again_when_it_does_not_believe_a_node() {
    let (live, other) = (Authority::both(far()), Authority::new(far()));
    let tls = live.load(N1);
    let mut door = Tcp.listen("127.0.0.1:0").await.unwrap();
    let believed = other.file("ca.pem");
    let trusting = Tls::trusting(&believed).unwrap();
    let line = Line::open(LineSpec { tls: Some(Arc::new(trusting)), ..scripted::spec(door.address().to_string()) });
    let doorkeeper = tokio::spawn(async move {
        loop {
            let (wire, _) = door.accept().await.unwrap();
            if tls.accept_console(wire).await.is_ok() {
                return;
            }
        }
    });
    until("it is told", || match &line.heard().borrow().state {
        State::Lost { why, .. } => why.contains("its certificate is not signed by the CA that is believed here"),
        State::Connecting | State::Live => false,
    })
    .await;
    assert!(!doorkeeper.is_finished());
    fs::copy(live.file("ca.pem"), believed).unwrap();
    until("it is believed", || doorkeeper.is_finished()).await;
    doorkeeper.await.unwrap();
}

fn made(out: PathBuf, renew: bool) -> anyhow::Result<String> {
    let mut told = Vec::new();
    let exit = certs::run(&CertsArguments { out, nodes: 2, renew }, &mut told)?;
    assert_eq!(exit, Exit::Fine);
    Ok(String::from_utf8(told).unwrap())
}

#[tokio::test]
async fn renewed_are_dates_only_so_old_and_new_believe_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    made(old.clone(), false).unwrap();
    fs::create_dir(&new).unwrap();
    for entry in fs::read_dir(&old).unwrap().flatten() {
        fs::copy(entry.path(), new.join(entry.file_name())).unwrap();
    }
    let told = made(new.clone(), true).unwrap();
    assert!(told.contains("n1.pem n2.pem ca.pem"), "{told}");
    assert_eq!(fs::read_dir(&new).unwrap().count(), fs::read_dir(&old).unwrap().count());
    for name in ["ca", "n1", "n2"] {
        let read = |folder: &Path, ending| fs::read(folder.join(format!("{name}.{ending}"))).unwrap();
        assert_eq!(read(&old, "key"), read(&new, "key"));
        assert_ne!(read(&old, "pem"), read(&new, "pem"));
    }
    let load = |folder: &Path, ca: &Path, name: &str| {
        let own = |ending| folder.join(format!("{name}.{ending}"));
        Tls::load(&ca.join("ca.pem"), &own("pem"), &own("key")).unwrap()
    };
    for (certificate, ca) in [(&old, &new), (&new, &old), (&new, &new)] {
        let (dialled, accepted) = pair().await;
        let (one, two) = (load(certificate, ca, "n1"), load(ca, certificate, "n2"));
        let (one, two) = tokio::join!(one.connect(dialled), two.accept_peer(accepted));
        assert!(one.unwrap().1.is(N2) && two.unwrap().1.is(N1));
        let (dialled, accepted) = pair().await;
        let (console, node) = (load(certificate, ca, "n2"), load(ca, certificate, "n1"));
        let (_, node) = tokio::join!(console.connect(dialled), node.accept_console(accepted));
        assert!(node.is_ok());
    }
}

#[test]
fn what_cannot_be_renewed_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("certs");
    let why = |wanted: &str| {
        let before = fs::read(out.join("n1.pem")).ok();
        let error = format!("{:#}", made(out.clone(), true).unwrap_err());
        assert!(error.contains(wanted), "{error}");
        assert_eq!(fs::read(out.join("n1.pem")).ok(), before);
    };
    why("ca.pem");
    made(out.clone(), false).unwrap();
    let again = format!("{:#}", made(out.clone(), false).unwrap_err());
    assert!(again.contains("--renew"), "{again}");
    let of_nodes = fs::read(out.join("n2.key")).unwrap();
    fs::write(out.join("n2.key"), "nothing").unwrap();
    why("n2.key holds no key");
    fs::write(out.join("n2.key"), of_nodes).unwrap();
    let of_ca = fs::read(out.join("ca.key")).unwrap();
    fs::copy(out.join("n2.key"), out.join("ca.key")).unwrap();
    why("ca.pem was not made by `raft-tui certs` with the key beside it");
    fs::write(out.join("ca.key"), of_ca).unwrap();
    made(out.clone(), true).unwrap();
    fs::remove_file(out.join("ca.key")).unwrap();
    why("ca.key");
}
