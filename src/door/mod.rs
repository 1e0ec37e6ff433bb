//! A door into the core: JSON commands in, JSON answers out, over pure cores with no clock, disk or network.
//!
//! For teaching (paper Figures 7 and 8 are worked examples in `docs/formats.md`), for other people's test suites, for a
//! debugger. Nothing happens until a command says so; a message moves when it is delivered. Disks sync at once and
//! machines apply at once, so what is left to choose is the order of messages, the time of each node, and crashes.
//!
//! Kept true: one answer a command; a command that makes no sense changes nothing and is answered with an error; the same
//! commands give the same answers for ever.
//! Not here: standard input and output (`cli/core.rs`).

mod commands;
mod cores;

use serde_json::{Map, Value};

use crate::raft::{MessageKind, NodeId};
use crate::text::sanitize_str;
use crate::trace::Json;
use cores::Cores;

/// Version of the commands and answers.
pub const VERSION: u64 = 1;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DoorError {
    /// The line is no JSON object.
    #[error("not a JSON object: {0}")]
    NotAnObject(String),
    /// It does not say what to do.
    #[error("the field `cmd` is missing; it is one of {}", commands::NAMES.join(", "))]
    NoCommand,
    /// There is no such command.
    #[error("there is no command `{0}`; there are {names}", names = commands::NAMES.join(", "))]
    NoSuchCommand(String),
    /// A field that has to be there is not.
    #[error("the field `{0}` is missing: {1}")]
    Missing(&'static str, &'static str),
    /// A field holds something else than it should.
    #[error("the field `{0}` holds {1}, and should hold {2}")]
    Wrong(&'static str, String, &'static str),
    /// No `nodes` came before.
    #[error("there are no nodes yet; begin with {{\"cmd\":\"nodes\",\"n\":3}}")]
    NoNodes,
    /// A node that was not made.
    #[error("there is no node {0}")]
    NoSuchNode(NodeId),
    /// A node that is not running.
    #[error("{0} has crashed; restart it first")]
    Down(NodeId),
    /// It exists, but not in this version of the program.
    #[error("not in this version: {0}")]
    NotYet(&'static str),
    /// It cannot be done as things stand.
    #[error("{0}")]
    Impossible(String),
}

/// What a command is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The object to be written.
    pub json: Json,
    /// Whether the command was carried out.
    pub ok: bool,
}

/// The cores, if some were made, and how many lines were read.
#[derive(Clone, Debug, Default)]
pub struct Door {
    cores: Option<Cores>,
    line: u64,
}

impl Door {
    /// A door with nothing behind it yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Carries out one line. `None` for an empty line and for one that starts with `#`.
    pub fn line(&mut self, line: &str) -> Option<Answer> {
        self.line += 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        Some(self.command(line))
    }

    /// Answers a line that could not even be read.
    pub fn unreadable(&mut self, why: &str) -> Answer {
        self.line += 1;
        self.error(None, &DoorError::NotAnObject(why.to_owned()))
    }

    fn command(&mut self, line: &str) -> Answer {
        let fields = match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(fields) => fields,
            Err(why) => return self.error(None, &DoorError::NotAnObject(why.to_string())),
        };
        let mut fields = Fields { fields };
        let name = match fields.text("cmd") {
            Ok(Some(name)) => name,
            Ok(None) => return self.error(None, &DoorError::NoCommand),
            Err(error) => return self.error(None, &error),
        };
        match commands::run(&mut self.cores, &name, &mut fields) {
            Ok(own) => {
                let mut json: Vec<(&'static str, Json)> = vec![("cmd", name.into())];
                json.extend(own);
                let ignored = fields.left();
                if !ignored.is_empty() {
                    json.push(("ignored", ignored.into()));
                }
                Answer { json: Json::Object(json), ok: true }
            }
            Err(error) => self.error(Some(&name), &error),
        }
    }

    fn error(&self, name: Option<&str>, error: &DoorError) -> Answer {
        let mut json = vec![("error", Json::from(sanitize_str(&error.to_string())))];
        json.extend(name.map(|name| ("cmd", sanitize_str(name).into())));
        json.push(("line", self.line.into()));
        Answer { json: Json::Object(json), ok: false }
    }
}

/// The fields of a command that were not looked at yet.
struct Fields {
    fields: Map<String, Value>,
}

impl Fields {
    fn left(&self) -> Vec<String> {
        self.fields.keys().cloned().collect()
    }

    /// What the field holds; `null` is as good as nothing.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.fields.remove(name).filter(|value| !value.is_null())
    }

    fn read<T>(
        &mut self,
        name: &'static str,
        wanted: &'static str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>, DoorError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        read(&value).map(Some).ok_or_else(|| DoorError::Wrong(name, value.to_string(), wanted))
    }

    fn text(&mut self, name: &'static str) -> Result<Option<String>, DoorError> {
        self.read(name, "text", |value| value.as_str().map(str::to_owned))
    }

    fn flag(&mut self, name: &'static str) -> Result<Option<bool>, DoorError> {
        self.read(name, "true or false", Value::as_bool)
    }

    fn number(&mut self, name: &'static str) -> Result<Option<u64>, DoorError> {
        self.read(name, "a whole number", number)
    }

    fn node(&mut self, name: &'static str) -> Result<Option<NodeId>, DoorError> {
        self.read(name, "a node such as \"n1\"", node)
    }

    /// One node, or a list of nodes.
    fn nodes(&mut self, name: &'static str) -> Result<Option<Vec<NodeId>>, DoorError> {
        self.read(name, "nodes such as [\"n1\",\"n2\"]", |value| one_or_many(value, node))
    }

    fn kinds(&mut self, name: &'static str) -> Result<Option<Vec<MessageKind>>, DoorError> {
        self.read(name, "a type of message such as \"AppendEntries\", or a list of them", |value| {
            one_or_many(value, |value| {
                let word = value.as_str()?;
                MessageKind::ALL.into_iter().find(|kind| kind.name().eq_ignore_ascii_case(word))
            })
        })
    }
}

fn one_or_many<T>(value: &Value, one: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Array(values) => values.iter().map(one).collect(),
        value => one(value).map(|value| vec![value]),
    }
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn node(value: &Value) -> Option<NodeId> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => value.as_u64().filter(|number| *number > 0).map(NodeId),
    }
}
