//! A node's control port: it lets consoles in, tells them what the node is and does, and carries their wishes out.
//!
//! | file | what |
//! | --- | --- |
//! | `mod.rs` | the door: who may knock, how many at a time |
//! | `handshake.rs` | who it is, and what he may |
//! | `console.rs` | one console: what comes in, what goes out, at its own speed |
//! | `desk.rs` | what all consoles share: sessions, leases, the audit log |
//! | `requests.rs` | each request acts once |
//!
//! It runs on a thread and a runtime of its own, so that consoles cannot take the node's time. Whoever is too slow for
//! what it asked for loses details, and is told how many; the newest picture takes the place of older ones.
//!
//! Kept true: consensus waits for no console; everything a console can make grow has a bound.
//! Not here: the node (`node/`), how its picture is made (`cluster/host.rs`).

mod console;
mod desk;
mod handshake;
mod requests;

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{broadcast, oneshot};
use tokio::task::{AbortHandle, JoinSet};

use super::access::ChaosKeys;
use super::audit::Audit;
use super::observation::{Happened, What};
use super::operation::{LinkRule, Links};
use super::protocol::{Level, Member, Picture, Reply, Standing};
use super::tokens::Tokens;
use crate::raft::NodeId;
use crate::transport::faults::Rules;
use crate::transport::net::{Doorway, Later, Net, Wire};
pub use desk::Desk;

/// Consoles at a time; of one address that is not this machine; and those whose handshake is not done yet.
pub const CONSOLES_MAX: usize = 64;
/// See [`CONSOLES_MAX`].
pub const CONSOLES_OF_ONE_ADDRESS_MAX: usize = 8;
/// See [`CONSOLES_MAX`].
pub const HANDSHAKES_MAX: usize = 64;

/// How long a handshake may take.
pub const HANDSHAKE: Duration = Duration::from_secs(2);

/// What happened and was not sent yet, for each console; the oldest gives way.
pub const NEWS_WAITING: usize = 4_096;

/// How long the door rests when the system has no more room for connections.
const REST: Duration = Duration::from_millis(50);

/// The node that is served. Nothing here may wait.
pub trait Served: Send + Sync + 'static {
    /// The facts on which people decide, and whom it believes to lead; `None` while it opens its store.
    fn standing(&self) -> Option<(Standing, Option<NodeId>)>;

    /// What it is now. What the server knows better is filled in by it: faults, consoles, what they cost.
    fn picture(&self) -> Picture;

    /// All members as it knows them.
    fn members(&self) -> Vec<Member>;

    /// Replicates a command.
    fn submit(&self, command: Bytes) -> Later<'static, Reply>;

    /// Reads.
    fn read(&self, query: Bytes, level: Level) -> Later<'static, Reply>;

    /// What links and the disk do from now on.
    fn set_faults(&self, rules: Rules, disk_delay_us: Option<u64>);

    /// The next write of the disk fails.
    fn fail_disk(&self);

    /// What [`fail_disk`](Self::fail_disk) asked for and has not come yet will not come.
    fn spare_disk(&self);

    /// It ends as if killed.
    fn crash(&self);
}

/// What happens on a node, for all who listen.
#[derive(Clone, Debug)]
pub struct News(Arc<Teller>);

#[derive(Debug)]
struct Teller {
    told: broadcast::Sender<Arc<Happened>>,
    number: AtomicU64,
    /// Each who listens to commands has a clone of it.
    commands: Arc<()>,
}

impl Default for News {
    fn default() -> Self {
        let told = broadcast::channel(NEWS_WAITING).0;
        Self(Arc::new(Teller { told, number: AtomicU64::new(0), commands: Arc::default() }))
    }
}

impl News {
    /// Tells whoever listens; nobody is waited for.
    pub fn tell(&self, at_us: u64, what: What) {
        let number = self.0.number.fetch_add(1, Ordering::Relaxed) + 1;
        // Nobody may be listening.
        let _ = self.0.told.send(Arc::new(Happened { number, at_us, what }));
    }

    /// Whether anybody listens.
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.0.told.receiver_count() > 0
    }

    /// Whether anybody listens to clients' commands.
    #[must_use]
    pub fn wants_commands(&self) -> bool {
        Arc::strong_count(&self.0.commands) > 1
    }

    fn listen(&self, commands: bool) -> Listener {
        Listener { told: self.0.told.subscribe(), commands: self.commands(commands) }
    }

    fn commands(&self, wanted: bool) -> Option<Arc<()>> {
        wanted.then(|| Arc::clone(&self.0.commands))
    }
}

/// Somebody who listens to what happens.
struct Listener {
    told: broadcast::Receiver<Arc<Happened>>,
    /// He wants to hear of clients' commands.
    commands: Option<Arc<()>>,
}

/// Puts encryption on a wire that came in.
pub type Secure = Arc<dyn Fn(Wire) -> Later<'static, io::Result<Wire>> + Send + Sync>;

/// All that a server is.
pub struct ServerSpec {
    /// The node.
    pub node: Arc<dyn Served>,
    /// Who it is.
    pub id: NodeId,
    /// Its cluster.
    pub cluster: u128,
    /// The cluster's name.
    pub name: String,
    /// Links as they are without any fault.
    pub clean: Rules,
    /// Whether faults can be injected.
    pub keys: ChaosKeys,
    /// Who may what; `None`: whoever comes may watch and submit.
    pub tokens: Option<Tokens>,
    /// Encryption.
    pub secure: Option<Secure>,
    /// It is open beyond this machine without proof or encryption.
    pub insecure: bool,
    /// Who did what.
    pub audit: Audit,
    /// What happens.
    pub news: News,
}

/// A server on a thread of its own. It ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// Takes the place `address` and serves there.
    pub async fn start(net: Arc<dyn Net>, address: String, spec: ServerSpec) -> io::Result<Self> {
        let (opened, open) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::Builder::new().name("control".into()).spawn(move || {
            runtime.block_on(async move {
                let doorway = match net.listen(&address).await {
                    Ok(doorway) => doorway,
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                let _ = opened.send(Ok(doorway.address()));
                tokio::select! {
                    () = serve(doorway, Desk::new(spec)) => {}
                    _ = stopped => {}
                }
            });
        })?;
        let gone = || io::Error::other("the control thread ended before it began");
        let address = open.await.map_err(|_| gone())??;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it is.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been told by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Serves whoever comes in by `doorway`, for ever.
pub async fn serve(mut doorway: Box<dyn Doorway>, desk: Arc<Desk>) {
    let mut consoles = JoinSet::new();
    let leases = Arc::clone(&desk);
    consoles.spawn(async move { leases.end_leases().await });
    let mut knocking: VecDeque<(AbortHandle, Arc<AtomicU64>)> = VecDeque::new();
    loop {
        let (wire, from) = tokio::select! {
            accepted = doorway.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::debug!(%error, "a console could not be let in");
                    tokio::time::sleep(REST).await;
                    continue;
                }
            },
            // Who has left is forgotten at once, not when the next comes.
            Some(_) = consoles.join_next() => continue,
        };
        let Some(seat) = desk.sit(from) else { continue };
        knocking.retain(|(handle, done)| !handle.is_finished() && done.load(Ordering::Relaxed) == 0);
        if knocking.len() >= HANDSHAKES_MAX
            && let Some((oldest, _)) = knocking.pop_front()
        {
            // Who is slow gives way to who comes: a crowd that says nothing keeps nobody out.
            oldest.abort();
        }
        let done = Arc::<AtomicU64>::default();
        let (desk, known) = (Arc::clone(&desk), Arc::clone(&done));
        let handle = consoles.spawn(async move {
            let entered = tokio::time::timeout(HANDSHAKE, handshake::enter(&desk, wire, from)).await;
            known.store(1, Ordering::Relaxed);
            if let Ok(Some((guest, reader, writer))) = entered {
                console::serve(desk, guest, reader, writer).await;
            }
            drop(seat);
        });
        knocking.push_back((handle, done));
    }
}

/// Whether an address is of this machine.
fn is_here(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// The words for a fault's rules, for the log, when the console gave none.
fn words(links: &[(Links, LinkRule)]) -> String {
    use super::grammar;
    use super::operation::Operation;
    let rule = |(links, rule): &(Links, LinkRule)| grammar::print(&Operation::Link { links: *links, rule: *rule });
    links.iter().take(4).map(rule).collect::<Vec<_>>().join("; ")
}
