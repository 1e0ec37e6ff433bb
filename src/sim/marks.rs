//! Things that must happen sometimes: a batch of runs in which one never did has not looked where it should.
//!
//! Kept true: every name here is counted somewhere in `sim/`; the names do not change.
//! Not here: what makes them happen (`plan.rs`, `nemesis.rs`).

macro_rules! marks {
    ($($name:ident $text:literal),* $(,)?) => {
        /// A situation worth being in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each is explained by its own words")]
        pub enum Mark { $($name),* }

        impl Mark {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What it is, in words.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

marks! {
    LeaderElected "a leader is elected",
    LeaderAfterCrash "another leader follows one that crashed",
    SplitVote "an election ends without a winner",
    TwoCandidates "two candidates campaign in one term",
    SingleNodeCluster "a cluster of one works",
    EvenCluster "a cluster of an even number works",
    PreVoteHearsLeader "a pre-vote is refused because a leader is heard",
    PreVoteLogBehind "a pre-vote is refused because the log is behind",
    PreVoteOldTerm "a pre-vote is refused because its term is old",
    PreVoteTeachesTerm "a refused pre-vote frees a node that is behind",
    VoteAlreadyGiven "a vote is refused because it was given",
    VoteLogBehind "a vote is refused because the log is behind",
    VoteHearsLeader "a vote is refused because a leader is heard",
    VoteQuarantined "a vote is refused in quarantine",
    StepDownHigherTerm "a leader or candidate steps down before a higher term",
    StepDownLostQuorum "a leader steps down because it lost its quorum",
    StepDownDiskStalled "a leader steps down because its disk stalls",
    StepDownLeaderSpoke "a candidate steps down before a leader",
    LeaderCrashed "a leader crashes",
    LeaderCrashedUnsynced "a leader crashes between append and sync",
    CandidateCrashed "a candidate crashes",
    VoteUnsyncedAtCrash "a vote is not synced when its node crashes",
    CrashBetweenOutputs "a node crashes between two outputs of one turn",
    AllDown "all nodes are down",
    PowerLostWrite "power loss takes an unsynced write",
    PowerKeptWrite "power loss leaves an unsynced write",
    PowerTornWrite "power loss tears a write: the vote is there, the log is not",
    RestartWithLog "a node starts again with a log",
    RestartWithSnapshot "a node starts again from a snapshot",
    PausedLeader "a leader is paused",
    ResumedWithBacklog "a paused node resumes with a backlog",
    ManyInputsInATurn "many inputs make one turn",
    ClockFast "a clock runs fast",
    ClockSlow "a clock runs slow",
    LeaderIsolated "a leader is cut off",
    OneWayCut "a link is cut one way",
    KindCut "one kind of message is cut",
    MessageLost "a message is lost",
    MessageDuplicated "a message arrives twice",
    MessageToNewLife "a message reaches a later life than it was sent to",
    OldTermIgnored "a message of an old term is ignored",
    OldEpochIgnored "a message of an old life is ignored",
    LateAnswerIgnored "a late answer is ignored",
    ConflictTruncated "a conflicting suffix is removed",
    PeerRejected "a follower rejects and the leader goes back",
    BackToProbe "a silent follower is probed again",
    CommitOfEarlierTerm "entries of earlier terms are committed with one of the own",
    CommitBeforeOwnSync "a leader commits what its own disk does not have yet",
    EntryReplaced "an appended command loses its place to another leader's",
    SnapshotTaken "a snapshot is taken",
    LogCompacted "a log is compacted",
    SnapshotModeEntered "a follower needs a snapshot",
    SnapshotInstalled "a snapshot is installed",
    SnapshotSeveralChunks "a snapshot travels in several chunks",
    SnapshotStartedAgain "a snapshot is sent again from its start",
    SnapshotOfCommitted "a snapshot arrives that is committed already",
    CrashWhileInstalling "a node crashes while it installs a snapshot",
    CrashWhileTaking "a node crashes while it takes a snapshot",
    AppendWhileInstalling "entries arrive while a snapshot is installed",
    PeerRestarted "a leader notices that a follower started again",
    PeerLostData "a leader notices that a follower lost data",
    QuarantineEntered "a node starts in quarantine",
    QuarantineLeft "a node leaves quarantine",
    RotLogEntry "a synced entry rots",
    RotLogTail "a synced tail is lost",
    RotSnapshot "a snapshot rots",
    FenceLost "a node without its vote never runs again",
    BeyondModel "more disks die than the model allows",
    SyncFailed "a sync fails and the node stops",
    WriteFailed "a write fails and the node stops",
    NoSpace "a disk is full and the node stops",
    SnapshotWriteFailed "a snapshot cannot be written and the node stops",
    DiskStalled "a disk stalls and goes on",
    GroupCommit "one sync makes several writes durable",
    WriteAcknowledged "a write is acknowledged",
    WriteRefused "a write is refused by a node that does not lead",
    WriteBusy "a write is refused because too much is uncommitted",
    WriteUnknown "a write ends unknown",
    UnknownButCommitted "a write that ended unknown is committed",
    AnswerTooLate "an answer comes after its client has given up",
    ReadAtLeader "a leader answers a read",
    ReadAtFollower "a follower answers a read",
    ReadFailed "a read is given up",
    LocalRead "a node answers a local read",
    LocalReadBehind "a local read is older than what is committed",
    LocalReadAlone "a node that hears no leader answers a local read",
    LocalReadOfNewLife "a node answers a local read before it has applied anything in its life",
    ReadBeforeOwnCommit "a new leader is asked before it has committed",
    CasSwapped "a compare-and-set swaps",
    CasNotSwapped "a compare-and-set finds something else",
    IncrCounted "a number is counted up",
    DeleteFound "a delete finds its key",
    ListAnswered "a list is answered",
    CoreSmallerThanCluster "a minority stays dead and the rest goes on",
    CoreWithStalledDisk "a healed core works although one of its disks never answers again",
    SearchDecided "a history is judged by search",
}

/// How often each was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marks {
    counts: Vec<u64>,
}

impl Default for Marks {
    fn default() -> Self {
        Self { counts: vec![0; Mark::ALL.len()] }
    }
}

impl Marks {
    /// Once more.
    pub fn hit(&mut self, mark: Mark) {
        self.counts[mark as usize] += 1;
    }

    /// Once more, if it is so.
    pub fn hit_if(&mut self, mark: Mark, condition: bool) {
        self.counts[mark as usize] += u64::from(condition);
    }

    /// How often.
    #[must_use]
    pub fn count(&self, mark: Mark) -> u64 {
        self.counts[mark as usize]
    }

    /// Adds those of another run.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
    }

    /// Those that were never met.
    #[must_use]
    pub fn missing(&self) -> Vec<Mark> {
        Mark::ALL.iter().copied().filter(|mark| self.count(*mark) == 0).collect()
    }
}
