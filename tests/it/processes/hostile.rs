//! Three real nodes in the hands of whoever reaches their ports, while clients go on.
//!
//! Cluster time runs at a quarter, so that an election means that somebody brought it about, and not a busy machine.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use raft_tui::control::operation::{Access, Operation};
use raft_tui::control::protocol::{Detail, FromConsole, Picture, Reply, Wish};
use raft_tui::control::{PeerTraffic, grammar};
use raft_tui::machine::StateMachine as _;
use raft_tui::machine::kv::KvStore;
use raft_tui::raft::rng::Rng;
use raft_tui::raft::{Epoch, NodeId};
use raft_tui::transport::net::{Net as _, Tcp};
use raft_tui::transport::tcp::handshake::{Failed, Hello, Refusal};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::consoles::{Console, Greeting, Refused, every_wish, token};
use crate::support::members::{Running, three, write as submit};
use crate::support::nodes::write_secret;
use crate::support::wire::{greeted, hello};

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);
/// Connections in all, and about how many of them at a time.
const CONNECTIONS: usize = 10_000;
const AT_A_TIME: usize = 960;
const WRITERS: u64 = 4;
/// What a node may grow by.
const GROWTH_KIB: u64 = 64 << 10;

/// Files that this process may have open; `None` where they are too few.
fn room_for_sockets() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = 8_192;
    if current.is_some_and(|current| current < wanted) {
        // What is refused is seen below.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    (current >= 2_048).then_some(current)
}

/// Somebody on the way to a port, who writes down what callers say, and alters a bit of it when told to.
struct Middle {
    port: u16,
    recorded: Mutex<Vec<Vec<u8>>>,
    alter: AtomicBool,
    altered: AtomicU64,
}

/// What is kept of one connection.
const RECORDED_MAX: usize = 64 << 10;
/// By then a handshake is over.
const GREETING_BYTES: usize = 700;

impl Middle {
    async fn before(target: u16) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let middle = Arc::new(Self {
            port: listener.local_addr().expect("an address").port(),
            recorded: Mutex::default(),
            alter: AtomicBool::new(false),
            altered: AtomicU64::new(0),
        });
        let carried = Arc::clone(&middle);
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let Ok(called) = TcpStream::connect(("127.0.0.1", target)).await else { continue };
                tokio::spawn(Arc::clone(&carried).carry(caller, called));
            }
        });
        middle
    }

    async fn carry(self: Arc<Self>, caller: TcpStream, called: TcpStream) {
        let (mut from_caller, mut to_caller) = caller.into_split();
        let (mut from_called, mut to_called) = called.into_split();
        let back = tokio::spawn(async move { tokio::io::copy(&mut from_called, &mut to_caller).await });
        let place = {
            let mut recorded = self.recorded.lock().expect("nobody panicked");
            recorded.push(Vec::new());
            recorded.len() - 1
        };
        let (mut buffer, mut carried) = (vec![0; 16 << 10], 0);
        while let Ok(count @ 1..) = from_caller.read(&mut buffer).await {
            if carried > GREETING_BYTES && self.alter.swap(false, Relaxed) {
                buffer[count - 1] ^= 1;
                self.altered.fetch_add(1, Relaxed);
            } else {
                let mut recorded = self.recorded.lock().expect("nobody panicked");
                if recorded[place].len() < RECORDED_MAX {
                    recorded[place].extend_from_slice(&buffer[..count]);
                }
            }
            carried += count;
            if to_called.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
        // The called one hung up, or its end was heard: so does the caller's.
        back.abort();
    }

    /// The longest that one caller has said.
    fn longest(&self) -> Vec<u8> {
        let recorded = self.recorded.lock().expect("nobody panicked");
        recorded.iter().max_by_key(|said| said.len()).cloned().unwrap_or_default()
    }
}

/// Connects, says this, and waits until it is hung up on.
async fn knock(address: SocketAddr, said: &[u8]) {
    let begun = Instant::now();
    // A connection that the crowd kept out is tried again.
    let mut stream = loop {
        if let Ok(Ok(stream)) = timeout(Duration::from_secs(5), TcpStream::connect(address)).await {
            break stream;
        }
        assert!(begun.elapsed() < PATIENCE, "{address} takes no connections");
    };
    let _ = stream.write_all(said).await;
    let mut heard = Vec::new();
    // A reset is as good as an end.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("it hangs up");
}

/// All that one can do at one port without knowing a secret.
async fn pester(address: SocketAddr, recorded: Arc<Vec<Vec<u8>>>, seed: u64) -> u64 {
    let mut luck = Rng::new(seed);
    let mut knocks = 0;
    for _ in 0..20 {
        let garbage: Vec<u8> = (0..5_000).map(|_| luck.below(256) as u8).collect();
        knock(address, &garbage).await;
        knocks += 1;
    }
    for length in [1_025_u32, 1 << 20, (8 << 20) + 1, 1 << 31, u32::MAX] {
        knock(address, &[&length.to_be_bytes()[..], &[7; 2_000]].concat()).await;
        knocks += 1;
    }
    for said in recorded.iter() {
        // As it was, then broken off, then with one bit in another state.
        knock(address, said).await;
        for _ in 0..10 {
            let end = luck.below(said.len().min(400) as u64) as usize;
            let mut stream = TcpStream::connect(address).await;
            if let Ok(stream) = &mut stream {
                let _ = stream.write_all(&said[..end]).await;
            }
            let mut altered = said.clone();
            altered[luck.below(said.len().min(400) as u64) as usize] ^= 1 << luck.below(8);
            knock(address, &altered).await;
            knocks += 2;
        }
        knocks += 1;
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.expect("in time");
        let (mut read, mut write) = stream.expect("it listens").into_split();
        let slow = async {
            for byte in said {
                if write.write_all(&[*byte]).await.is_err() {
                    return;
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let begun = Instant::now();
        let mut heard = Vec::new();
        tokio::select! {
            _ = read.read_to_end(&mut heard) => {}
            () = slow => {}
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "a byte at a time lasts {:?}", begun.elapsed());
        knocks += 1;
    }
    knocks
}

/// Many connections from many addresses of this machine; how many came through.
async fn crowd(address: SocketAddr, count: usize, recorded: Arc<Vec<Vec<u8>>>) -> usize {
    let mut there = VecDeque::new();
    let mut came = 0;
    for number in 0..count {
        let socket = TcpSocket::new_v4().expect("there is room");
        let from = Ipv4Addr::new(127, 0, 0, 2 + (number % 30) as u8);
        let bound = socket.bind((from, 0).into());
        if bound.is_ok()
            && let Ok(Ok(mut stream)) = timeout(Duration::from_secs(2), socket.connect(address)).await
        {
            came += 1;
            let said = &recorded[number % recorded.len()];
            // A third says nothing, a third half a word, a third a whole one.
            let end = [0, 30, said.len()][number % 3];
            let _ = stream.try_write(&said[..end]);
            let _ = stream.flush().await;
            there.push_back(stream);
        }
        if there.len() > AT_A_TIME / 6 {
            there.pop_front();
        }
    }
    came
}

async fn enter(port: u16, access: Access, number: u8) -> Result<Console, Refused> {
    let wire = Tcp.dial(&format!("127.0.0.1:{port}")).await.map_err(|_| Refused::Closed)?;
    Console::enter(wire, Greeting::new(access, Some(token(number)))).await
}

/// The same until it is let in: at the door it may have to give way to those who come after it.
async fn enter_at_last(port: u16, access: Access, number: u8) -> Console {
    let begun = Instant::now();
    loop {
        if let Ok(Ok(console)) = timeout(Duration::from_secs(10), enter(port, access, number)).await {
            return console;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody is let in at {port}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn picture(port: u16) -> Picture {
    let mut console = enter_at_last(port, Access::Viewer, 1).await;
    console.say(&FromConsole::Follow(Detail::Pictures { every_ms: 50 })).await;
    console.look().await
}

/// Says all that can be wished, without being allowed to do any of it but to look.
async fn wish_for_everything(port: u16) {
    for access in [Access::Operator, Access::Chaos] {
        let begun = Instant::now();
        // In a crowd the connection may close before there is an answer; let in he must not be.
        while !matches!(enter(port, access, 1).await.map(|console| console.welcome), Err(Refused::Said(_))) {
            assert!(begun.elapsed() < PATIENCE, "{access:?} is not refused in words");
        }
    }
    let mut console = enter_at_last(port, Access::Viewer, 1).await;
    for wish in every_wish() {
        let reply = console.ask(wish.clone()).await;
        let may = matches!(wish, Wish::Read { .. } | Wish::Disarm);
        assert!(may || matches!(reply, Reply::Refused { .. }), "{wish:?} got {reply:?}");
    }
}

/// What was acknowledged, by its place in the log, and the longest time without.
#[derive(Default)]
struct Writes {
    acknowledged: BTreeMap<u64, Vec<u8>>,
    last: Option<Instant>,
    longest_gap: Duration,
}

impl Writes {
    fn note(&mut self, index: u64, command: &[u8]) {
        let now = Instant::now();
        let gap = self.last.replace(now).map_or(Duration::ZERO, |last| now - last);
        self.longest_gap = self.longest_gap.max(gap);
        assert!(self.acknowledged.insert(index, command.to_vec()).is_none(), "two writes at {index}");
    }
}

/// Writes to the leader over one connection, one after the other.
async fn write(mut console: Console, writer: u64, writes: Arc<Mutex<Writes>>, enough: Arc<AtomicBool>) {
    for number in 0_u64.. {
        if enough.load(Relaxed) {
            return;
        }
        let line = format!("submit SET k{writer}-{} v{number}", number % 25);
        let Ok(Operation::Submit { command, .. }) = grammar::parse(&line) else { panic!("{line}") };
        match console.ask(Wish::Submit { command: command.clone() }).await {
            Reply::Applied { position, .. } => {
                writes.lock().expect("nobody panicked").note(position.index.0, &command);
            }
            other => panic!("{line} got {other:?}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Their pictures once all have applied the same, and at least up to `index`: pictures are some time apart.
async fn converged(controls: &[u16], index: u64) -> Vec<Picture> {
    let begun = Instant::now();
    loop {
        let mut pictures = Vec::new();
        for control in controls {
            pictures.push(picture(*control).await);
        }
        let applied = pictures[0].view.applied;
        let level = |picture: &Picture| picture.view.applied == applied && picture.view.leader.is_some();
        if applied.0 >= index && pictures.iter().all(level) {
            return pictures;
        }
        assert!(begun.elapsed() < PATIENCE, "the nodes do not come together");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reaches_the_ports_brings_about_no_election_no_write_and_no_growth() {
    let Some(room) = room_for_sockets() else {
        let _ = writeln!(std::io::stderr(), "skipped: this process may not open 2,048 files");
        return;
    };
    let root = tempfile::tempdir().expect("a folder");
    let tokens = root.path().join("tokens");
    let (viewer, operator) = (token(1).to_hex(), token(2).to_hex());
    write_secret(&tokens, &format!("viewer vera {viewer}\noperator otto {operator}\n"));
    let mut members = three(root.path(), &["--pace", "1/4", "--token-file", tokens.to_str().expect("text")]);
    // What the others say to n1, and what somebody says to a console port, is written down on the way.
    let mut ways = BTreeMap::new();
    for id in [2, 3] {
        let way = Middle::before(members[&1].listen).await;
        members.get_mut(&id).expect("it is one of three").peers.insert(1, way.port);
        ways.insert(id, way);
    }
    let mut running: BTreeMap<u64, Running> = members.iter().map(|(id, member)| (*id, member.start())).collect();
    let controls: Vec<_> = members.values().map(|member| member.control).collect();
    let before = converged(&controls, 0).await;
    let leader = before[0].view.leader.expect("there is one");
    let term = before[0].view.term;
    let lead = members[&leader.0].control;
    // Followers speak with their leader only: one of the two has much to say to n1, whoever leads.
    let talker = if leader == NodeId(2) { NodeId(2) } else { NodeId(3) };
    let between = &ways[&talker.0];

    let overheard = Middle::before(lead).await;
    let (writes, enough) = (Arc::<Mutex<Writes>>::default(), Arc::<AtomicBool>::default());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        // One of them is overheard.
        let port = if writer == 0 { overheard.port } else { lead };
        let console = enter(port, Access::Operator, 2).await.expect("it is let in");
        writers.spawn(write(console, writer, Arc::clone(&writes), Arc::clone(&enough)));
    }
    let count = || writes.lock().expect("nobody panicked").acknowledged.len();
    let begun = Instant::now();
    while count() < 100 || between.longest().len() < 2 * GREETING_BYTES {
        assert!(begun.elapsed() < PATIENCE && writers.try_join_next().is_none(), "the clients do not get going");
        sleep(Duration::from_millis(20)).await;
    }
    let resident: BTreeMap<_, _> = running.iter().map(|(id, process)| (*id, process.resident_kib())).collect();
    let files: BTreeMap<_, _> = running.iter().map(|(id, process)| (*id, process.open_files())).collect();
    let count_before = count();

    let recorded = Arc::new(vec![between.longest(), overheard.longest()]);
    let begun = Instant::now();
    let mut pests = JoinSet::new();
    let mut crowds = JoinSet::new();
    let ports: Vec<_> = members.values().flat_map(|member| [member.listen, member.control]).collect();
    for (number, port) in (1..).zip(&ports) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        pests.spawn(pester(address, Arc::clone(&recorded), number));
        crowds.spawn(crowd(address, CONNECTIONS.div_ceil(ports.len()), Arc::clone(&recorded)));
    }
    let mut wishers = JoinSet::new();
    for control in &controls {
        wishers.spawn(wish_for_everything(*control));
    }
    // Meanwhile bits change on that way to n1, one connection after the other.
    for number in 1..=3 {
        between.alter.store(true, Relaxed);
        while between.altered.load(Relaxed) < number {
            assert!(begun.elapsed() < PATIENCE, "{talker} says nothing to n1");
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_secs(1)).await;
    }
    let (mut knocks, mut came) = (0, 0);
    while let Some(ended) = crowds.join_next().await {
        came += ended.expect("it did not fail");
    }
    let flooded = begun.elapsed();
    while let Some(ended) = pests.join_next().await {
        knocks += ended.expect("it did not fail");
    }
    while let Some(ended) = wishers.join_next().await {
        ended.expect("it did not fail");
    }
    let lasted = begun.elapsed();
    enough.store(true, Relaxed);
    while let Some(ended) = writers.join_next().await {
        ended.expect("every write is acknowledged");
    }
    let during = count() - count_before;

    for (id, process) in &mut running {
        assert!(!process.has_ended(), "n{id} has ended");
    }
    let writes = std::mem::take(&mut *writes.lock().expect("nobody panicked"));
    let (first, last) = (writes.acknowledged.first_key_value(), writes.acknowledged.last_key_value());
    let (first, last) = (*first.expect("one").0, *last.expect("one").0);
    let after = converged(&controls, last).await;
    for picture in &after {
        assert_eq!((picture.view.leader, picture.view.term), (Some(leader), term), "there was an election");
    }
    for picture in &after {
        let (id, traffic) = (picture.view.id, picture.view.traffic.as_ref().expect("it is counted"));
        assert!(traffic.malformed >= 20 && traffic.turned_away >= 100, "{id} was left alone: {traffic:?}");
        let heard = |peer: &PeerTraffic| peer.bytes.is_some_and(|(received, sent)| received > 0 && sent > 0);
        assert!(traffic.peers.len() == 2 && traffic.peers.iter().all(heard), "{id}: {traffic:?}");
    }
    assert!(came >= CONNECTIONS * 9 / 10, "only {came} came through");
    assert!(knocks >= 200, "only {knocks} knocks");
    assert!(during as u64 >= 10 * lasted.as_secs(), "{during} writes in {lasted:?}");

    assert!(writes.longest_gap < Duration::from_secs(5), "no write for {:?}", writes.longest_gap);
    assert_eq!(last - first + 1, writes.acknowledged.len() as u64, "something else is in the log");
    let mut state = KvStore::default();
    for (index, command) in &writes.acknowledged {
        state.apply(*index, command);
    }
    for picture in &after {
        assert_eq!(picture.view.applied.0, last, "something else was applied");
        assert_eq!(picture.view.digest.0, state.digest(), "the state is not what was acknowledged");
    }
    // Who repeats what a node said is named, until that node comes itself.
    knock(SocketAddr::from((Ipv4Addr::LOCALHOST, ports[0])), &recorded[0]).await;
    let begun = Instant::now();
    let named = format!("repeats what {talker} once said");
    while !picture(controls[0]).await.alarms.iter().any(|alarm| alarm.text.contains(&named)) {
        assert!(begun.elapsed() < PATIENCE, "nobody is named");
    }

    let mut grown = BTreeMap::new();
    for (id, process) in &running {
        let more = process.resident_kib().saturating_sub(resident[id]);
        assert!(more < GROWTH_KIB, "n{id} has grown by {more} KiB");
        grown.insert(*id, more);
        let settled = Instant::now();
        while process.open_files() > files[id] + 8 {
            assert!(settled.elapsed() < PATIENCE, "n{id} keeps {} files open", process.open_files());
            sleep(Duration::from_millis(50)).await;
        }
    }
    let _ = writeln!(
        std::io::stderr(),
        "hostile: {came} connections in {flooded:?} ({room} files), {knocks} knocks in {lasted:?}, {during} writes \
         meanwhile, longest gap {:?}, grown by {grown:?} KiB, {leader} leads {term} throughout",
        writes.longest_gap
    );
}

/// Greets a node by hand; how it ends.
async fn claim(port: u16, hello: Hello) -> Failed {
    let wire = Tcp.dial(&format!("127.0.0.1:{port}")).await.expect("it listens");
    let greeted = timeout(PATIENCE, greeted(wire, hello)).await.expect("it answers");
    greeted.err().expect("nobody is let in")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_the_clusters_id_is_not_yet_one_of_its_nodes() {
    let root = tempfile::tempdir().expect("a folder");
    let members = three(root.path(), &["--pace", "1/4"]);
    let mut running: BTreeMap<u64, Running> = members.iter().map(|(id, member)| (*id, member.start())).collect();
    let controls: Vec<_> = members.values().map(|member| member.control).collect();
    let began = Instant::now();
    let met = async |control: u16| {
        let picture = watch(control).await;
        picture.members.iter().all(|member| member.control_address.is_some())
    };
    // Each has met each: the first who came would have been believed.
    for control in &controls {
        while !met(*control).await {
            assert!(began.elapsed() < PATIENCE, "they do not meet");
            sleep(Duration::from_millis(50)).await;
        }
    }
    let before = watch(controls[0]).await.view;
    let port = members[&1].listen;
    let good = Hello { cluster: 0x0a, store: 0xBAD, ..hello(NodeId(3), NodeId(1)) };
    for _ in 0..20 {
        let refused = |refusal: Refusal| format!("{:?}", Failed::ByThem(refusal));
        let stranger = claim(port, Hello { cluster: 0x0b, ..good.clone() }).await;
        assert_eq!(format!("{stranger:?}"), refused(Refusal::Cluster));
        let other = claim(port, Hello { epoch: Epoch(u64::MAX), ..good.clone() }).await;
        assert_eq!(format!("{other:?}"), refused(Refusal::Store));
        let ninth = claim(port, Hello { from: NodeId(9), ..good.clone() }).await;
        assert_eq!(format!("{ninth:?}"), refused(Refusal::NotAMember));
        let itself = claim(port, Hello { from: NodeId(1), ..good.clone() }).await;
        assert_eq!(format!("{itself:?}"), refused(Refusal::NotAMember));
        let elsewhere = claim(port, Hello { to: NodeId(2), ..good.clone() }).await;
        assert_eq!(format!("{elsewhere:?}"), refused(Refusal::Address { here: NodeId(1) }));
        let future = claim(port, Hello { versions: (7, 9), ..good.clone() }).await;
        assert!(matches!(future, Failed::ByThem(Refusal::Version { .. })), "{future:?}");
    }
    for number in 100..150 {
        claim(port, Hello { from: NodeId(number), ..good.clone() }).await;
    }
    // Names are theirs to choose: four strangers are told, and four troubles in each of two peers' names.
    assert!(watch(controls[0]).await.alarms.len() <= 12);
    claim(port, Hello { from: NodeId(9), ..good.clone() }).await;
    claim(port, Hello { from: NodeId(1), ..good.clone() }).await;
    let after = watch(controls[0]).await;
    assert_eq!((after.view.leader, after.view.term), (before.leader, before.term));
    for words in ["n9 at 127.0.0.1:", "says to be n1, which is this node", "n3 at 127.0.0.1:"] {
        // They are told after they were answered, and pictures are some time apart.
        while !watch(controls[0]).await.alarms.iter().any(|alarm| alarm.text.contains(words)) {
            assert!(began.elapsed() < PATIENCE, "nobody says `{words}`");
        }
    }
    assert!(running.values_mut().all(|process| !process.has_ended()));
    // n3 itself is still heard: with n2 gone, the two of them take a write.
    running.remove(&2);
    let left = [controls[0], controls[2]];
    tokio::task::spawn_blocking(move || submit(&left, "k", "v")).await.expect("it is acknowledged");
}

/// What a node shows to whoever comes, where no tokens are.
async fn watch(port: u16) -> Picture {
    let began = Instant::now();
    loop {
        if let Ok(wire) = Tcp.dial(&format!("127.0.0.1:{port}")).await
            && let Ok(mut console) = Console::enter(wire, Greeting::new(Access::Viewer, None)).await
        {
            console.say(&FromConsole::Follow(Detail::Pictures { every_ms: 50 })).await;
            let picture = console.look().await;
            if picture.view.leader.is_some() {
                return picture;
            }
        }
        assert!(began.elapsed() < PATIENCE, "nobody leads at {port}");
        sleep(Duration::from_millis(50)).await;
    }
}
