//! What somebody can send to a node's door: nothing of it is heard by the node, nothing of it keeps others out.
#![allow(clippy::unwrap_used, reason = "a test that finds nothing there has failed")]

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use raft_tui::raft::{Epoch, NodeId};
use raft_tui::transport::net::{Net as _, Tcp, Wire};
use raft_tui::transport::tcp::handshake::{HELLO_BYTES_MAX, Hello};
use raft_tui::transport::tcp::{FRAME_BYTES_MAX, HANDSHAKES_AN_ADDRESS_MAX, HANDSHAKES_MAX, Said, open};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

use crate::support::wire::{Book, End, N1, N2, N3, envelope, greeted, hello, spec, until, until_heard};

/// Numbers of what must not be heard start here; nodes that behave do not count so far.
const BAD: u64 = 1 << 40;

/// Generous: the machine may be busy.
const SOON: Duration = Duration::from_secs(30);

async fn dial(end: &End) -> TcpStream {
    TcpStream::connect(end.peers.address()).await.unwrap()
}

/// How long it took until the other side hung up.
async fn hung_up(stream: &mut (impl AsyncRead + Unpin)) -> Duration {
    let begun = Instant::now();
    let mut heard = Vec::new();
    // A reset is as good as an end.
    let _ = timeout(SOON, stream.read_to_end(&mut heard)).await.expect("it hangs up");
    begun.elapsed()
}

/// Two nodes that speak with each other, and go on doing so.
async fn pair() -> (End, End) {
    let book = Book::default();
    let (mut one, mut two) = (End::plain(&book, N1).await, End::plain(&book, N2).await);
    until_heard(&mut one, &mut two).await;
    until_heard(&mut two, &mut one).await;
    one.heard();
    (one, two)
}

fn nothing_bad(end: &mut End) -> bool {
    end.heard().iter().all(|envelope| envelope.number < BAD)
}

/// Nothing was heard, and the others still are.
async fn unharmed(mut one: End, mut two: End) {
    assert!(nothing_bad(&mut one), "something was heard");
    until_heard(&mut two, &mut one).await;
    until_heard(&mut one, &mut two).await;
}

#[tokio::test]
async fn garbage_is_hung_up_on() {
    let (one, two) = pair().await;
    for seed in 0..50_u64 {
        let mut stream = dial(&one).await;
        let garbage: Vec<u8> = (0..5_000_u64).map(|at| (at.wrapping_mul(seed * 2 + 31) >> 3) as u8).collect();
        let _ = stream.write_all(&garbage).await;
        hung_up(&mut stream).await;
    }
    until("it is counted", || one.peers.door().malformed > 0).await;
    unharmed(one, two).await;
}

#[tokio::test]
async fn a_frame_that_is_too_long_is_refused_by_its_first_four_bytes() {
    let (one, two) = pair().await;
    for length in [HELLO_BYTES_MAX as u32 + 1, 1 << 20, u32::MAX] {
        let mut stream = dial(&one).await;
        stream.write_all(&length.to_be_bytes()).await.unwrap();
        hung_up(&mut stream).await;
    }
    until("each is counted, none ran into its time limit", || one.peers.door().malformed >= 3).await;
    // One that was let in may send longer frames, but not any.
    let wire = Tcp.dial(&one.peers.address().to_string()).await.unwrap();
    let (mut raw, tapped) = tap(wire);
    let (mut reader, writer, _) = greeted(tapped, hello(N3, N1)).await.unwrap();
    raw.write(&(FRAME_BYTES_MAX as u32 + 1).to_be_bytes()).await;
    let said = timeout(SOON, reader.next::<Said>()).await.expect("it hangs up");
    assert!(!matches!(said, Ok(Some(_))));
    drop(writer);
    unharmed(one, two).await;
}

#[tokio::test]
async fn a_handshake_that_breaks_off_changes_nothing() {
    let (mut one, two) = pair().await;
    let whole = recorded(&mut one, N3).await;
    let before = one.peers.view();
    for end in [0, 1, 3, 4, 11, 12, 40, whole.len() / 3] {
        let mut stream = dial(&one).await;
        stream.write_all(&whole[..end]).await.unwrap();
        drop(stream);
    }
    sleep(Duration::from_millis(200)).await;
    let known = |views: &[raft_tui::transport::tcp::PeerView]| {
        views.iter().map(|view| (view.id, view.control.clone(), view.dropped)).collect::<Vec<_>>()
    };
    assert_eq!(known(&one.peers.view()), known(&before));
    assert!(one.peers.alarms().is_empty());
    unharmed(one, two).await;
}

#[tokio::test]
async fn a_handshake_byte_by_byte_is_hung_up_on_after_two_seconds() {
    let (mut one, two) = pair().await;
    let whole = recorded(&mut one, N3).await;
    let stream = dial(&one).await;
    let begun = Instant::now();
    let (mut read, mut write) = stream.into_split();
    let slow = async {
        for byte in whole.iter().take(100) {
            if write.write_all(&[*byte]).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = hung_up(&mut read) => {}
        () = slow => {}
    }
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_900) && took < Duration::from_secs(9), "{took:?}");
    unharmed(one, two).await;
}

#[tokio::test]
async fn altered_bytes_are_never_decoded() {
    let (one, two) = pair().await;
    let wire = Tcp.dial(&one.peers.address().to_string()).await.unwrap();
    let (mut reader, mut writer, settled) = greeted(wire, hello(N3, N1)).await.unwrap();
    let before = one.peers.door().malformed;
    // The checksum of another seed is a wrong checksum.
    writer.set_seed(settled.seed ^ 1);
    writer.send(&Said::Message(envelope(N3, N1, Epoch(1), BAD))).await.unwrap();
    assert!(!matches!(timeout(SOON, reader.next::<Said>()).await.expect("it hangs up"), Ok(Some(_))));
    until("it is counted", || one.peers.door().malformed > before).await;
    unharmed(one, two).await;
}

#[tokio::test]
async fn who_speaks_in_anothers_name_is_hung_up_on_and_counted() {
    let (one, two) = pair().await;
    let forgeries = [
        envelope(N2, N1, Epoch(1), BAD),
        envelope(N3, N2, Epoch(1), BAD),
        envelope(N3, N1, Epoch(2), BAD),
        envelope(N1, N1, Epoch(1), BAD),
    ];
    for (count, forged) in (1..).zip(forgeries) {
        let wire = Tcp.dial(&one.peers.address().to_string()).await.unwrap();
        let (mut reader, mut writer, _) = greeted(wire, hello(N3, N1)).await.unwrap();
        writer.send(&Said::Message(forged)).await.unwrap();
        // What follows on that connection is not heard either.
        let _ = writer.send(&Said::Message(envelope(N3, N1, Epoch(1), BAD + 1))).await;
        assert!(!matches!(timeout(SOON, reader.next::<Said>()).await.expect("it hangs up"), Ok(Some(_))));
        until("it is counted", || one.peers.view().iter().any(|peer| peer.id == N3 && peer.dropped.forged == count))
            .await;
    }
    unharmed(one, two).await;
}

#[tokio::test]
async fn what_was_recorded_on_one_connection_is_worth_nothing_on_another() {
    let (mut one, two) = pair().await;
    let whole = recorded(&mut one, N3).await;
    for _ in 0..3 {
        let mut stream = dial(&one).await;
        let _ = stream.write_all(&whole).await;
        hung_up(&mut stream).await;
    }
    assert!(nothing_bad(&mut one));
    until("it is named", || one.alarmed("repeats what n3 once said")).await;

    // Nor does it help to be let in first.
    let wire = Tcp.dial(&one.peers.address().to_string()).await.unwrap();
    let (_, _, former) = greeted(wire, hello(N3, N1)).await.unwrap();
    let wire = Tcp.dial(&one.peers.address().to_string()).await.unwrap();
    let (mut reader, mut writer, _) = greeted(wire, hello(N3, N1)).await.unwrap();
    writer.set_seed(former.seed);
    writer.send(&Said::Message(envelope(N3, N1, Epoch(1), BAD))).await.unwrap();
    assert!(!matches!(timeout(SOON, reader.next::<Said>()).await.expect("it hangs up"), Ok(Some(_))));
    unharmed(one, two).await;
}

#[tokio::test]
async fn two_troubles_in_the_name_of_one_peer_are_both_told_and_each_once() {
    let (one, two) = pair().await;
    for _ in 0..3 {
        for wrong in [Hello { cluster: 9, ..hello(N3, N1) }, Hello { versions: (7, 9), ..hello(N3, N1) }] {
            let wire = Tcp.dial(&one.peers.address().to_string()).await.unwrap();
            assert!(greeted(wire, wrong).await.is_err());
        }
    }
    let both = || one.alarmed("of another cluster") && one.alarmed("speaks no version");
    until("both are told", both).await;
    assert_eq!(one.peers.alarms().len(), 2, "{:?}", one.peers.alarms());
    unharmed(one, two).await;
}

#[tokio::test]
async fn an_old_connection_is_not_heard_once_a_new_one_is_open() {
    let (mut one, two) = pair().await;
    let wire = || async { Tcp.dial(&one.peers.address().to_string()).await.unwrap() };
    let (mut old_reader, mut old, _) = greeted(wire().await, hello(N3, N1)).await.unwrap();
    let (_reader, mut new, _) = greeted(wire().await, hello(N3, N1)).await.unwrap();
    new.send(&Said::Message(envelope(N3, N1, Epoch(1), 10))).await.unwrap();
    let mut heard = Vec::new();
    until("the new one is heard", || {
        heard.extend(one.heard().into_iter().filter(|envelope| envelope.from == N3));
        !heard.is_empty()
    })
    .await;
    let _ = old.send(&Said::Message(envelope(N3, N1, Epoch(1), BAD))).await;
    assert!(!matches!(timeout(SOON, old_reader.next::<Said>()).await.expect("it hangs up"), Ok(Some(_))));
    assert_eq!(heard.iter().map(|envelope| envelope.number).collect::<Vec<_>>(), [10]);
    unharmed(one, two).await;
}

#[tokio::test]
async fn a_greeting_with_odd_words_for_an_address_is_no_greeting() {
    let (one, two) = pair().await;
    for control in ["\u{1b}[2J:1".to_owned(), "x".repeat(256), "a\nb:1".to_owned(), "\u{202e}:1".to_owned()] {
        let wire = Tcp.dial(&one.peers.address().to_string()).await.unwrap();
        assert!(greeted(wire, Hello { control, ..hello(N3, N1) }).await.is_err());
    }
    assert!(one.peers.view().iter().all(|peer| peer.id != N3 || peer.control.is_none()));
    unharmed(one, two).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_who_come_at_once_keep_no_node_out() {
    let book = Book::default();
    let one = open(spec(book.clone(), N1)).await.unwrap();
    let address = one.address();
    book.put("n1", address);
    let link = one.attach(Epoch(1), 1_000);
    let mut one = End { node: N1, epoch: Epoch(1), peers: one, link, number: 0 };
    // From twenty addresses of this machine, and in waves, so that some are always there.
    let flood = tokio::spawn(async move {
        let mut there = std::collections::VecDeque::new();
        for number in 0..4_000_u32 {
            let socket = TcpSocket::new_v4().unwrap();
            let from = std::net::Ipv4Addr::new(127, 0, 0, 1 + (number % 20) as u8);
            socket.bind((from, 0).into()).unwrap();
            if let Ok(Ok(stream)) = timeout(Duration::from_secs(2), socket.connect(address)).await {
                there.push_back(stream);
            }
            if there.len() > 500 {
                there.pop_front();
            }
        }
        there
    });
    let mut most = 0;
    until("some came", || one.peers.door().turned_away > 50).await;
    let mut two = End::plain(&book, N2).await;
    until("a node gets through", || {
        two.say(N1);
        most = most.max(one.peers.door().handshakes);
        one.heard().iter().any(|envelope| envelope.from == N2)
    })
    .await;
    until("all came", || {
        most = most.max(one.peers.door().handshakes);
        flood.is_finished()
    })
    .await;
    let there = flood.await.unwrap();
    assert!(most <= HANDSHAKES_MAX, "{most} handshakes at once");
    assert!(most > HANDSHAKES_AN_ADDRESS_MAX, "the flood was no flood: {most}");
    until("all have gone", || one.peers.door().handshakes == 0).await;
    drop(there);
    until_heard(&mut two, &mut one).await;
}

#[tokio::test]
async fn one_address_takes_only_its_share_of_the_door() {
    let (one, two) = pair().await;
    let mut there = Vec::new();
    for _ in 0..40 {
        there.push(dial(&one).await);
    }
    until("they are turned away", || one.peers.door().turned_away >= 40 - HANDSHAKES_AN_ADDRESS_MAX as u64).await;
    assert!(one.peers.door().handshakes <= HANDSHAKES_AN_ADDRESS_MAX);
    unharmed(one, two).await;
}

/// A greeting of `from` and one message, as somebody on the way could have recorded it.
async fn recorded(end: &mut End, from: NodeId) -> Vec<u8> {
    let wire = Tcp.dial(&end.peers.address().to_string()).await.unwrap();
    let (tap, tapped) = tap(wire);
    let (reader, mut writer, _) = greeted(tapped, hello(from, N1)).await.unwrap();
    writer.send(&Said::Message(envelope(from, N1, Epoch(1), BAD))).await.unwrap();
    until("it is heard when it is said", || !nothing_bad(end)).await;
    drop((reader, writer));
    tap.written.lock().unwrap().clone()
}

/// A hand on a wire that somebody else speaks over.
struct Tap {
    inner: Arc<Mutex<Wire>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    async fn write(&mut self, bytes: &[u8]) {
        let inner = Arc::clone(&self.inner);
        let mut left = bytes;
        std::future::poll_fn(|cx| {
            while !left.is_empty() {
                let mut wire = inner.lock().unwrap();
                let written = ready!(Pin::new(&mut **wire).poll_write(cx, left)).unwrap();
                left = &left[written..];
            }
            Poll::Ready(())
        })
        .await;
    }
}

struct Tapped {
    inner: Arc<Mutex<Wire>>,
    written: Arc<Mutex<Vec<u8>>>,
}

fn tap(wire: Wire) -> (Tap, Wire) {
    let (inner, written) = (Arc::new(Mutex::new(wire)), Arc::new(Mutex::new(Vec::new())));
    let tapped = Tapped { inner: Arc::clone(&inner), written: Arc::clone(&written) };
    (Tap { inner, written }, Box::new(tapped))
}

impl AsyncRead for Tapped {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.inner.lock().unwrap()).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut **self.inner.lock().unwrap()).poll_write(cx, bytes))?;
        self.written.lock().unwrap().extend_from_slice(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.inner.lock().unwrap()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut **self.inner.lock().unwrap()).poll_shutdown(cx)
    }
}
