//! A session driven by lines of the grammar, each answered before the next is asked.

use std::sync::Arc;
use std::time::Duration;

use raft_tui::cluster::local;
use raft_tui::cluster::{Guard, Session, Spec};
use raft_tui::control::{Answer, ClusterView, Observation, Request, grammar};

/// How long any answer may take before a test gives up; answers come as soon as they are known.
const PATIENCE: Duration = Duration::from_mins(1);

pub struct Driven {
    pub session: Session,
    guard: Option<Guard>,
    asked: u64,
    pub heard: Vec<String>,
}

impl Driven {
    pub fn start(spec: Spec) -> Self {
        let (session, guard) = local::start(spec).expect("the cluster starts");
        Self { session, guard: Some(guard), asked: 0, heard: Vec::new() }
    }

    /// Asks and gives the answer, whatever it is.
    pub async fn ask(&mut self, line: &str) -> Answer {
        self.asked += 1;
        let id = self.asked;
        let operation = grammar::parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        self.session.operations.send(Request { id, operation }).await.expect("the cluster listens");
        let answered = async {
            loop {
                match self.session.observations.recv().await.expect("the cluster lives") {
                    Observation::Answered { id: answered, answer } if answered == id => return answer,
                    Observation::Answered { .. } => {}
                    Observation::Happened(happened) => self.heard.push(format!("{:?}", happened.what)),
                }
            }
        };
        match tokio::time::timeout(PATIENCE, answered).await {
            Ok(answer) => answer,
            Err(tokio::time::error::Elapsed { .. }) => panic!(
                "`{line}` was not answered; heard last: {:#?}",
                &self.heard[self.heard.len().saturating_sub(20)..]
            ),
        }
    }

    /// Asks and expects a good answer.
    pub async fn good(&mut self, line: &str) -> Answer {
        let answer = self.ask(line).await;
        assert!(
            answer.is_good(),
            "`{line}` got {answer:?}; heard last: {:#?}\n{:#?}",
            &self.heard[self.heard.len().saturating_sub(40)..],
            self.view()
        );
        answer
    }

    /// Asks several things in a row, all with good answers.
    pub async fn all_good(&mut self, lines: &[&str]) {
        for line in lines {
            self.good(line).await;
        }
    }

    /// What a read gives, in words.
    pub async fn value(&mut self, line: &str) -> String {
        match self.good(line).await {
            Answer::Value { reply, .. } | Answer::Applied { reply, .. } => {
                raft_tui::machine::kv::describe_reply(&reply)
            }
            other => panic!("`{line}` gave {other:?}"),
        }
    }

    pub fn view(&self) -> Arc<ClusterView> {
        self.session.view.borrow().clone()
    }

    /// Ends the cluster; gives all that happened.
    pub async fn end(mut self) -> Vec<String> {
        self.good("quit").await;
        let guard = self.guard.take().expect("it ends once");
        assert_eq!(guard.ended().await, None, "no node halted");
        self.heard
    }
}
