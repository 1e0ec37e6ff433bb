//! The console on a real terminal: a few keys, sizes, and every way to leave.

use std::time::Duration;

use rustix::process::Signal;

use crate::support::pty::Pty;

const REAL: [&str; 6] = ["--nodes", "5", "--pace", "real", "--seed", "7"];

#[test]
fn keys_break_and_mend_a_cluster() {
    let mut console = Pty::start(120, 40, &REAL);
    console.until(&["leads t"]);
    console.until(&["WRITES ok"]);
    console.keys("sSET colour blue\r");
    console.until(&["entry 2", "SET colour blue"]);
    console.keys("Rcolour\r");
    console.until(&["blue", "read from"]);
    console.keys(":crash leader\r");
    console.until(&["4/5 up"]);
    console.until(&["leads t2"]);
    console.until(&["DOWN"]);
    console.keys(":restart all\r");
    console.until(&["5/5 up"]);
    console.keys("pbb\r");
    console.until(&["FAULTS 1: partition"]);
    console.keys("H");
    console.until(&["no faults"]);
    console.keys("x");
    console.until(&["x does nothing here, ? lists the keys"]);
    console.resize(80, 24);
    console.until(&["q quit"]);
    console.resize(30, 4);
    console.until(&["enlarge to 60x16"]);
    console.resize(200, 60);
    console.until(&["in memory"]);
    console.keys("q");
    let (status, _) = console.ended();
    assert!(status.success(), "{status:?}");
    assert!(!console.is_taken(), "the terminal is given back");
}

#[test]
fn a_signal_ends_it_at_once_and_gives_the_terminal_back() {
    for signal in [Signal::TERM, Signal::HUP, Signal::INT] {
        let mut console = Pty::start(80, 24, &REAL);
        console.until(&["leads t"]);
        assert!(console.is_taken());
        console.signal(signal);
        let (_, took) = console.ended();
        assert!(took < Duration::from_secs(1), "{signal:?} took {took:?}");
        assert!(!console.is_taken(), "the terminal is given back after {signal:?}");
    }
}

#[test]
fn a_closed_terminal_ends_it() {
    let mut console = Pty::start(80, 24, &REAL);
    console.until(&["leads t"]);
    console.close();
    let (_, took) = console.ended();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
}
