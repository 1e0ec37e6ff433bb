//! One console: what it asks, and what it is told, at its own speed.
//!
//! Two halves. What comes in is read while there is room for answers; what goes out is written in few writes, answers
//! first. A console that takes nothing for [`STALL`] is cut off; before that it loses news, and is told how many, and sees
//! the newest picture only.
//!
//! Kept true: one console's slowness costs nobody else anything; what waits for it is bounded.
//! Not here: what a wish does (`desk.rs`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{Either, FutureExt as _, ready};
use futures_util::stream::FuturesUnordered;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::Listener;
use super::desk::{Asked, Desk};
use super::handshake::Guest;
use crate::control::observation::{Happened, What};
use crate::control::pictures::{PARTS, changes};
use crate::control::protocol::{Detail, FromConsole, FromNode, Picture, Reply};
use crate::transport::frame::{FrameError, FrameReader, FrameWriter};

/// Requests of one connection that are under way at most.
const UNDER_WAY_MAX: usize = 1_024;

/// Bytes of answers that wait for a console; then nothing more is read from it.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// A console that takes nothing for so long is cut off.
const STALL: Duration = Duration::from_secs(5);

/// A frame that has begun is whole within this time.
const FRAME: Duration = Duration::from_secs(10);

/// A console says something at least so often.
const IDLE: Duration = Duration::from_mins(1);

/// How often these two are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Real time between two pictures, in milliseconds: at least, at most.
const EVERY_MS: (u32, u32) = (20, 60_000);

/// News that are written at a time.
const NEWS_AT_ONCE: usize = 256;

/// News wait so long for others, or for the next picture: each write costs more than what is in it.
const NEWS_EVERY: Duration = Duration::from_millis(60);

/// What the reading half hands to the writing half.
enum Out {
    Say(FromNode),
    Follow(Detail),
}

/// Serves a console until it goes or breaks the rules.
pub(super) async fn serve(desk: Arc<Desk>, guest: Guest, reader: FrameReader, writer: FrameWriter) {
    let (out, said) = mpsc::unbounded_channel();
    let waiting = Arc::<AtomicUsize>::default();
    tokio::select! {
        () = listen(&desk, &guest, reader, &out, &waiting) => {}
        result = speak(&desk, writer, said, &waiting) => {
            if let Err(error) = result {
                tracing::debug!(from = %guest.from, %error, "a console was given up");
            }
        }
    }
}

/// The reading half.
async fn listen(
    desk: &Arc<Desk>,
    guest: &Guest,
    mut reader: FrameReader,
    out: &mpsc::UnboundedSender<Out>,
    waiting: &AtomicUsize,
) {
    let mut under_way = FuturesUnordered::new();
    let mut heard = Instant::now();
    let mut begun: Option<Instant> = None;
    let mut counted = 0;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let say = |message: FromNode| {
        waiting.fetch_add(size(&message), Ordering::Relaxed);
        // The writing half ends the reading half.
        let _ = out.send(Out::Say(message));
    };
    loop {
        // Who does not take his answers asks no more.
        let has_room = waiting.load(Ordering::Relaxed) < WAITING_BYTES_MAX;
        let message = tokio::select! {
            biased;
            Some((request, reply)) = under_way.next() => {
                say(FromNode::Answered { request, reply });
                continue;
            }
            message = reader.next::<FromConsole>(), if has_room => match message {
                Ok(Some(message)) => message,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(from = %guest.from, %error, "a console said what cannot be understood");
                    return;
                }
            },
            _ = look.tick() => {
                desk.add_bytes(reader.bytes() - counted);
                counted = reader.bytes();
                let now = Instant::now();
                begun = reader.is_midway().then(|| begun.unwrap_or(now));
                if begun.is_some_and(|begun| now - begun >= FRAME) || (has_room && now - heard >= IDLE) {
                    return;
                }
                continue;
            }
        };
        (heard, begun) = (Instant::now(), None);
        desk.alive(guest.session);
        match message {
            FromConsole::Follow(detail) => {
                let _ = out.send(Out::Follow(detail));
            }
            FromConsole::Alive { echo } => say(FromNode::Alive { echo }),
            FromConsole::Ask { request, .. } if under_way.len() >= UNDER_WAY_MAX => {
                // Not even remembered: it was never begun.
                say(FromNode::Answered { request, reply: Reply::Busy { uncommitted_bytes: 0 } });
            }
            FromConsole::Ask { request, decided_on, wish } => {
                let answer = match desk.ask(guest, request, decided_on, wish) {
                    Asked::Now(reply) => Either::Left(ready(reply)),
                    Asked::Later(answer) => {
                        let gone = || Reply::Unknown { why: "the node stopped before it answered".into() };
                        Either::Right(answer.map(move |answer| answer.unwrap_or_else(|_| gone())))
                    }
                };
                under_way.push(answer.map(move |reply| (request, reply)));
            }
        }
    }
}

/// What a console wants to hear, and what it has.
struct Following {
    every: Duration,
    next: Option<Instant>,
    news: Option<Listener>,
    /// When news are told at the earliest.
    next_news: Instant,
    number: u64,
    last: Option<Arc<Picture>>,
}

/// What is to be written next.
enum Next {
    Outs(usize),
    Picture,
    News(Heard),
}

type Heard = Result<Arc<Happened>, RecvError>;

/// The writing half.
async fn speak(
    desk: &Arc<Desk>,
    mut writer: FrameWriter,
    mut said: mpsc::UnboundedReceiver<Out>,
    waiting: &AtomicUsize,
) -> Result<(), FrameError> {
    let mut following =
        Following { every: Duration::ZERO, next: None, news: None, next_news: Instant::now(), number: 0, last: None };
    let mut outs = Vec::new();
    let mut counted = 0;
    loop {
        let next_picture = following.next;
        let next = tokio::select! {
            biased;
            count = said.recv_many(&mut outs, NEWS_AT_ONCE) => Next::Outs(count),
            () = sleep_until(next_picture.unwrap_or_else(Instant::now)), if next_picture.is_some() => Next::Picture,
            news = hear(following.news.as_mut(), following.next_news) => Next::News(news),
        };
        let written = async {
            match next {
                Next::Outs(0) => return Ok::<_, FrameError>(false),
                Next::Outs(_) => {
                    for out in outs.drain(..) {
                        match out {
                            Out::Say(message) => {
                                waiting.fetch_sub(size(&message), Ordering::Relaxed);
                                say(&mut writer, message).await?;
                            }
                            Out::Follow(detail) => following.follow(desk, detail),
                        }
                    }
                }
                Next::Picture => {
                    following.picture(desk, &mut writer).await?;
                    following.tell(None, &mut writer).await?;
                }
                Next::News(first) => following.tell(Some(first), &mut writer).await?,
            }
            writer.flush().await?;
            Ok(true)
        };
        let stalled = || FrameError::Wire(std::io::ErrorKind::TimedOut.into());
        if !timeout(STALL, written).await.map_err(|_| stalled())?? {
            return Ok(());
        }
        desk.add_bytes(writer.bytes() - counted);
        counted = writer.bytes();
    }
}

/// What happens next, from `at` on: until then nobody is woken for it.
async fn hear(news: Option<&mut Listener>, at: Instant) -> Heard {
    match news {
        Some(news) => {
            sleep_until(at).await;
            news.told.recv().await
        }
        None => std::future::pending().await,
    }
}

/// Says it, or what can be said instead when it does not fit into a frame.
async fn say(writer: &mut FrameWriter, message: FromNode) -> Result<(), FrameError> {
    match (writer.feed(&message).await, message) {
        (Err(FrameError::TooLong { .. }), FromNode::Answered { request, reply }) => {
            let reply = match reply {
                Reply::Value { .. } => {
                    Reply::ReadFailed { why: "the answer is longer than a frame: ask for less".into() }
                }
                _ => Reply::Unknown { why: "it was done, but the answer is longer than a frame".into() },
            };
            writer.feed(&FromNode::Answered { request, reply }).await
        }
        (result, _) => result,
    }
}

impl Following {
    fn follow(&mut self, desk: &Desk, detail: Detail) {
        let (every_ms, events, commands) = match detail {
            Detail::Pictures { every_ms } => (every_ms, false, false),
            Detail::Events { every_ms } => (every_ms, true, false),
            Detail::Everything { every_ms } => (every_ms, true, true),
        };
        self.every = Duration::from_millis(every_ms.clamp(EVERY_MS.0, EVERY_MS.1).into());
        self.next = Some(Instant::now());
        self.last = None;
        let news = &desk.spec.news;
        self.news = match self.news.take() {
            _ if !events => None,
            Some(Listener { told, .. }) => Some(Listener { told, commands: news.commands(commands) }),
            None => Some(news.listen(commands)),
        };
    }

    /// The newest picture: whole at first, then what changed.
    async fn picture(&mut self, desk: &Desk, writer: &mut FrameWriter) -> Result<(), FrameError> {
        let picture = desk.picture();
        let parts = changes(self.last.as_deref(), &picture)?;
        // Time is counted from now on: a console that was slow gets one picture, not those that it missed.
        self.next = Some(Instant::now() + self.every);
        if parts.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let number = self.number;
        let message = if self.last.is_none() || parts.len() == usize::from(PARTS) {
            FromNode::Picture { number, picture: Box::new((*picture).clone()) }
        } else {
            FromNode::Change { number, parts }
        };
        self.last = Some(picture);
        writer.feed(&message).await
    }

    /// What happened, from `first` on, as much as is written at a time.
    async fn tell(&mut self, first: Option<Heard>, writer: &mut FrameWriter) -> Result<(), FrameError> {
        let mut first = first;
        for _ in 0..NEWS_AT_ONCE {
            let Some(heard) = first.take().or_else(|| self.next_heard()) else {
                self.next_news = Instant::now() + NEWS_EVERY;
                return Ok(());
            };
            match heard {
                Ok(happened) if !self.wants(&happened) => {}
                Ok(happened) => writer.feed(&FromNode::Happened((*happened).clone())).await?,
                Err(RecvError::Lagged(count)) => writer.feed(&FromNode::Missed { count }).await?,
                Err(RecvError::Closed) => self.news = None,
            }
        }
        // There may be more.
        self.next_news = Instant::now();
        Ok(())
    }

    fn next_heard(&mut self) -> Option<Heard> {
        match self.news.as_mut()?.told.try_recv() {
            Ok(happened) => Some(Ok(happened)),
            Err(TryRecvError::Lagged(count)) => Some(Err(RecvError::Lagged(count))),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }

    fn wants(&self, happened: &Happened) -> bool {
        let commands = self.news.as_ref().is_some_and(|news| news.commands.is_some());
        commands || !matches!(happened.what, What::Applied { .. })
    }
}

/// About how much a message takes while it waits.
fn size(message: &FromNode) -> usize {
    match message {
        FromNode::Answered { reply: Reply::Applied { reply, .. } | Reply::Value { reply, .. }, .. } => 64 + reply.len(),
        _ => 64,
    }
}
