//! Seeds that once failed, by what was wrong. Plans change when drawing changes, so each also says how to find it again.

use raft_tui::sim::swarm::run;
use raft_tui::sim::{Limits, Profile};

fn passes(seed: u64, profile: Profile) {
    let ended = run(seed, profile, &Limits::default());
    assert_eq!(ended.violation, None, "seed {seed}");
}

/// A write outlived a crash without having been promised; the next life acknowledged it, and the mark did not say so.
/// Then its loss went unnoticed. Found as `durability` by taking the mark's advance out of `load`.
#[test]
fn what_outlived_a_crash_is_promised_by_the_life_that_loads_it() {
    for seed in [2424, 2602, 2944, 3639] {
        passes(seed, Profile::Everything);
    }
}

/// A request for votes waited for the disk, another candidate won the term meanwhile and replaced the end of the log:
/// the request left and told of an entry that was not there any more. Found as `no promise before persistence`.
#[test]
fn nobody_asks_for_votes_in_a_term_that_has_a_leader() {
    for seed in [1810, 4374] {
        passes(seed, Profile::Everything);
    }
}

/// The window to a follower was full of messages whose answers had been lost, and the entries they carried were
/// compacted: nothing was sent to it any more. Found as `liveness`.
#[test]
fn a_full_window_does_not_hide_that_a_follower_needs_a_snapshot() {
    for seed in [1895, 3386, 4816] {
        passes(seed, Profile::Everything);
    }
}

/// Votes of an old term may arrive when a higher term has a leader already: what that one commits is no concern of the
/// late winner. This was a mistake of the judge.
#[test]
fn a_late_winner_need_not_have_what_higher_terms_commit() {
    for seed in [2501, 2519, 2839, 2934] {
        passes(seed, Profile::Everything);
    }
}

/// A node that dies between leaving quarantine and writing that down starts in quarantine again. This was a mistake of
/// the judge.
#[test]
fn a_crash_right_after_quarantine_leads_back_into_it() {
    for seed in [5939, 8912, 9202] {
        passes(seed, Profile::Everything);
    }
}

/// A node slept; when it woke up, it heard the leader of a term that had passed and gave up an entry that a higher term
/// had committed without it. That is how Raft is. This was a mistake of the judge.
#[test]
fn a_sleeper_may_follow_a_leader_of_the_past() {
    passes(22262, Profile::Everything);
}

/// A snapshot took so long to send that the leader had compacted past its end when it arrived: the follower needed the
/// next one, for ever. Now entries stay while a follower that answers lacks them and they weigh less than the snapshot.
/// Found as `liveness`.
#[test]
fn a_follower_finds_the_entries_after_the_snapshot_it_was_sent() {
    for seed in [1_051_177, 1_062_983, 1_243_617, 1_307_909] {
        passes(seed, Profile::Everything);
    }
}

/// A message of before the healing, or a node whose disk answers no more, may bring a higher term once where there is no
/// PreVote. This was a mistake of the judge.
#[test]
fn what_was_under_way_before_the_healing_may_raise_a_term() {
    for seed in [1_081_875, 1_137_057] {
        passes(seed, Profile::Everything);
    }
}

/// A follower that lacked entries got them, or fell silent, in the very turn in which the leader took its snapshot and kept them for it; the
/// judge looked at the end of the turn only, and took them for too many. A mistake of the judge, found as `bounded resources`.
#[test]
fn entries_kept_for_a_follower_that_has_got_them_since_are_not_too_many() {
    for seed in [17_454, 23_764, 3_014_176] {
        passes(seed, Profile::Everything);
    }
}
