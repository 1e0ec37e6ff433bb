//! The console over a cluster that runs elsewhere: what is not known, what may be done, what is asked first.
//!
//! `INSTA_UPDATE=always cargo test --test it pure::tui_attached` blesses the pictures.

use insta::assert_snapshot;
use raft_tui::cluster::remote::CAPABILITIES;
use raft_tui::control::{Access, Answer, Can, ClusterView, Held, Life, Mode as Right, Observation, Operation, Target};
use raft_tui::raft::NodeId;
use raft_tui::tui::dialog::Dialog;
use raft_tui::tui::effect::Effect;
use raft_tui::tui::event::Event;
use raft_tui::tui::state::Mode;
use raft_tui::tui::theme::Depth;

use crate::support::screen::Screen;
use crate::support::views;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];
const THEMES: [(&str, &str, Depth); 2] = [("light", "light", Depth::True), ("mono", "default", Depth::Mono)];

fn snapshot(name: &str, picture: &str) {
    insta::with_settings!({ snapshot_path => "../../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_snapshot!(name, picture);
    });
}

fn n(number: u64) -> Target {
    Target::Node(NodeId(number))
}

fn operate() -> ClusterView {
    let mut view = views::drill();
    view.mode = Right::Armed { access: Access::Operator, left_us: 872_000_000, reason: String::from("new key") };
    view
}

/// A console that is armed for a drill, with some keys pressed, past the time in which dialogs swallow.
fn armed(script: &str) -> Screen {
    let mut screen = Screen::new(80, 24, views::drill());
    screen.keys(script);
    screen.at(1_000);
    screen
}

fn answer(screen: &mut Screen, id: u64, answer: Answer) {
    screen.observe(Observation::Answered { id, answer });
}

#[test]
fn pictures_of_what_is_attached() {
    for (width, height) in SIZES {
        for (name, theme, depth) in THEMES {
            let pictures = [
                ("half_heard", views::half_heard(), ""),
                ("drill", views::drill(), ""),
                ("arm", views::attached(), "A<right>game day 7"),
                ("confirm", views::drill(), "3c"),
            ];
            for (what, view, script) in pictures {
                let mut screen = Screen::new(width, height, view).story().theme(theme, depth);
                screen.keys(script);
                snapshot(&format!("attached_{what}_{width}x{height}_{name}"), &screen.picture_and_styles());
            }
        }
    }
}

#[test]
fn what_lies_over_an_attached_cluster() {
    let pictures = [
        ("detail_of_a_silent_node", views::half_heard(), "5<enter>"),
        ("detail_of_a_node_never_heard", views::never_heard(), "5<enter>"),
        ("confirm_quorum", views::drill(), ":partition 1,2/3,4/5<enter>"),
        ("preview", views::drill(), "2i"),
        ("preview_crash", views::drill(), "1c"),
        ("masked", ClusterView { values_masked: true, ..views::attached() }, ""),
        ("masked_help", ClusterView { values_masked: true, ..views::attached() }, "?"),
        ("disarm", views::drill(), "A"),
        ("arm_no_drill", ClusterView { may: Access::Operator, ..views::attached() }, "Agame day 7"),
        ("quit", views::drill(), "q"),
        ("help", views::attached(), "?"),
    ];
    for (what, view, script) in pictures {
        let mut screen = Screen::new(80, 24, view).story();
        screen.keys(script);
        snapshot(&format!("attached_{what}_80x24"), &screen.picture());
    }
}

#[test]
fn the_head_says_where_one_is_and_what_one_may() {
    for (width, height) in SIZES {
        let observe = Screen::new(width, height, views::attached());
        assert!(
            observe.shows(&["prod-eu", "[LIVE]", "OBSERVE read-only", "n3 leads t7", "age 0.1s"]),
            "{}",
            observe.picture()
        );
        assert!(observe.shows(&["CHAOS ENABLED"]));
        assert_eq!(observe.shows(&["rtt 2ms  12 KB/s"]), width >= 120, "{}", observe.picture());
        let drill = Screen::new(width, height, views::drill());
        assert!(drill.shows(&["prod-eu", "[LIVE]", "DRILL 09:58 left"]), "{}", drill.picture());
        assert!(Screen::new(width, height, operate()).shows(&["OPERATE 14:32 left"]));
        assert!(Screen::new(width, height, views::half_heard()).shows(&["ALARMS 2"]));
    }
    assert!(Screen::new(80, 24, views::healthy(5)).shows(&["[LAB]"]));
    assert!(!Screen::new(80, 24, views::healthy(5)).shows(&["CHAOS"]));
    let mut processes = views::stopped();
    processes.held = Held::Processes;
    assert!(Screen::new(120, 40, processes).shows(&["[PROCESSES]", "CLUSTER STOPPED (SIGSTOP)"]));
    let mut safe = views::attached();
    safe.chaos = false;
    assert!(!Screen::new(80, 24, safe).shows(&["CHAOS"]));
    assert!(Screen::new(70, 3, views::attached()).shows(&["LIVE OBSERVE n3 leads t7"]));
}

#[test]
fn a_time_box_runs_down_between_two_views() {
    let mut screen = Screen::new(80, 24, views::drill());
    screen.at(60_000);
    assert!(screen.shows(&["DRILL 08:58 left"]), "{}", screen.picture());
    let mut screen = Screen::new(200, 60, views::drill());
    assert!(screen.shows(&["delay n3>n2 80ms  41s left  by alice"]), "{}", screen.picture());
    screen.at(11_000);
    assert!(screen.shows(&["delay n3>n2 80ms  30s left  by alice"]));
    assert!(screen.shows(&["loss n1 20%  0ms left"]), "{}", screen.picture());
}

#[test]
fn down_and_unheard_and_old_and_paused_are_four_things() {
    for (width, height) in SIZES {
        let mut view = views::half_heard();
        view.nodes[0].life = Life::Crashed { at_us: view.real_us - 12_400_000 };
        let mut screen = Screen::new(width, height, view);
        assert!(screen.shows(&["n1 ✗ DOWN 12s"]), "{}", screen.picture());
        assert!(screen.shows(&["n2 ○ stale 3s"]));
        assert!(screen.shows(&["n4 ‖ PAUSED"]));
        assert!(screen.shows(&["n5 ? no data 12s"]));
        assert!(screen.shows(&["age"]) && screen.shows(&["3.2s"]));
        screen.at(2_000);
        assert!(screen.shows(&["n5 ? no data 14s"]), "{}", screen.picture());
        assert!(screen.shows(&["n3 ★ stale 2s"]), "a session that has stopped to publish is old too");
    }
}

#[test]
fn what_was_never_heard_is_not_drawn_as_a_number() {
    for (width, height) in SIZES {
        let picture = Screen::new(width, height, views::never_heard()).picture();
        let row = picture.lines().find_map(|line| line.split_once("n5 ? no data 3m30s")).map(|(_, cells)| cells);
        let cells = row.unwrap_or_else(|| panic!("{picture}"));
        assert!(cells.contains('–') && !cells.contains(|c: char| c.is_ascii_digit()), "{cells}");
    }
    let mut screen = Screen::new(80, 24, views::never_heard());
    screen.keys("5<enter>");
    assert!(screen.shows(&["because", "no route to host", "cannot be known"]), "{}", screen.picture());
    assert!(screen.shows(&["10.0.0.5:7300", "never heard"]));
    assert!(!screen.shows(&["election"]) && !screen.shows(&["digest"]));
}

#[test]
fn watching_dims_what_changes_and_says_why() {
    let mut screen = Screen::new(80, 24, views::attached());
    screen.keys("c");
    assert_eq!(screen.asked(), []);
    assert!(screen.shows(&["c: read-only: press A and arm for a drill"]), "{}", screen.picture());
    screen.keys("s");
    assert!(matches!(screen.state.mode, Mode::Browse), "{}", screen.picture());
    screen.keys("R");
    assert!(matches!(screen.state.mode, Mode::Prompt(_)), "reading is watching");
}

#[test]
fn arming_takes_what_for_and_why() {
    let mut screen = Screen::new(80, 24, views::attached());
    assert!(screen.shows(&["A arm"]), "{}", screen.picture());
    screen.keys("A<enter><enter>");
    assert!(screen.shows(&["say why"]), "{}", screen.picture());
    assert_eq!(screen.asked(), []);
    screen.keys("a new key<enter>");
    let arm = |access, minutes: u64, reason: &str| Operation::Arm {
        access,
        duration_us: minutes * 60_000_000,
        reason: String::from(reason),
    };
    assert_eq!(screen.asked(), [arm(Access::Operator, 15, "a new key")]);
    screen.keys("A<right>game day<tab><ctrl-u>5m<enter>");
    assert_eq!(screen.asked(), [arm(Access::Chaos, 5, "game day")]);
    for reason in ["old", "drill", "quorum loss", "hot", "left"] {
        screen.keys(&format!("A{reason}<enter>"));
        assert_eq!(screen.asked(), [arm(Access::Operator, 15, reason)], "each letter is one of the reason");
    }
    screen.keys("Adod<tab><ctrl-u>soon<enter>");
    assert!(screen.shows(&["`soon` is no duration"]), "{}", screen.picture());
    screen.keys("<ctrl-u>0s<enter>");
    assert!(screen.shows(&["arms nothing"]), "{}", screen.picture());
    screen.keys("<ctrl-u><enter>");
    assert_eq!(screen.asked(), [arm(Access::Operator, 15, "dod")]);
    screen.keys("A<right><esc>");
    assert!(matches!(screen.state.mode, Mode::Browse) && screen.asked().is_empty());
    let why = String::from("bob is armed for 4m more");
    answer(&mut screen, 8, Answer::Refused { why });
    assert!(screen.shows(&["refused: bob is armed"]), "{}", screen.picture());
}

#[test]
fn only_what_the_console_may_is_offered_and_why_not_is_said() {
    let mut view = views::attached();
    view.may = Access::Operator;
    let mut screen = Screen::new(80, 24, view.clone());
    screen.keys("A<right>");
    assert!(screen.shows(&["(operate)"]) && screen.shows(&["operator access and no more"]), "{}", screen.picture());
    screen.keys("drill<enter>");
    let [Operation::Arm { access: Access::Operator, reason, .. }] = &screen.asked()[..] else { panic!("not asked") };
    assert_eq!(reason, "drill");

    // What was offered when the dialog opened may have gone.
    let mut screen = Screen::new(80, 24, views::attached());
    screen.keys("A<right>game day");
    screen.view(view.clone());
    screen.keys("<enter>");
    assert!(screen.shows(&["(drill)"]) && screen.shows(&["is not offered any more"]), "{}", screen.picture());
    assert_eq!(screen.asked(), []);

    view.may = Access::Viewer;
    let mut screen = Screen::new(80, 24, view);
    screen.keys("A");
    assert!(screen.shows(&["viewer access and no more"]), "{}", screen.picture());
    assert!(matches!(screen.state.mode, Mode::Browse));

    let mut screen = Screen::new(80, 24, ClusterView { chaos: false, ..views::attached() });
    screen.keys("A<right>");
    assert!(screen.shows(&["(operate)"]) && screen.shows(&["fault injection is off"]), "{}", screen.picture());
}

#[test]
fn a_reason_can_be_pasted_and_what_hides_is_shown() {
    let mut screen = Screen::new(80, 24, views::attached());
    screen.keys("A<right>");
    screen.event(Event::Paste(String::from("ticket 7\n\u{202e}\x1b[2J")));
    screen.at(1_000);
    screen.keys("<enter>");
    let [Operation::Arm { reason, .. }] = &screen.asked()[..] else { panic!("{}", screen.picture()) };
    assert!(reason.starts_with("ticket 7") && raft_tui::text::is_safe(reason), "{reason:?}");
}

#[test]
fn being_armed_can_be_given_back() {
    let mut screen = armed("A");
    assert!(screen.shows(&["(disarm)"]) && screen.shows(&["DRILL 09:57 left"]), "{}", screen.picture());
    screen.keys("<esc>");
    assert_eq!(screen.asked(), []);
    screen.keys("A");
    screen.at(2_000);
    screen.keys("<enter>");
    assert_eq!(screen.asked(), [Operation::Disarm]);
    assert!(screen.shows(&["A disarm"]) || screen.shows(&["asked: disarm"]), "{}", screen.picture());
}

#[test]
fn where_nothing_needs_arming_nobody_reads_of_it() {
    let mut screen = Screen::new(120, 40, views::healthy(5));
    assert!(!screen.shows(&["A arm"]) && !screen.shows(&["P pause"]));
    screen.keys("A");
    assert!(screen.shows(&["nothing needs arming"]), "{}", screen.picture());
    screen.keys("?arm");
    assert!(!screen.shows(&["ask for the right"]), "{}", screen.picture());
    screen.keys("<esc>?freeze");
    assert!(screen.shows(&["freeze the selected node", "(nodes in this process"]), "{}", screen.picture());
}

#[test]
fn a_node_is_paused_and_goes_on() {
    let mut view = views::healthy(5);
    view.held = Held::Processes;
    view.nodes[1].life = Life::Paused;
    let why = String::from("timed out");
    view.nodes[2].life = Life::Unreachable { since_us: 0, why };
    let mut screen = Screen::new(80, 24, view);
    assert!(screen.shows(&["P pause"]), "{}", screen.picture());
    screen.keys("1P2P3P");
    assert_eq!(screen.asked(), [Operation::Pause(n(1)), Operation::Unpause(n(2))]);
    assert!(screen.shows(&["nothing is heard of n3", ":unpause n3"]), "{}", screen.picture());
}

#[test]
fn what_takes_the_leader_wants_its_name() {
    let mut screen = armed("3c");
    assert_eq!(screen.asked(), []);
    let picture = screen.picture();
    for text in ["crash n3", "takes the leader", "1 of 5 nodes", "prod-eu", "until somebody starts it again", "type n3"]
    {
        assert!(picture.contains(text), "{text} is missing:\n{picture}");
    }
    assert!(picture.contains("n1 n2 n4 n5 can elect"), "{picture}");
    screen.keys("c<enter>");
    assert_eq!(screen.asked(), [], "the key that opened it does not confirm");
    assert!(screen.shows(&["that is not n3"]), "{}", screen.picture());
    screen.keys("<ctrl-u>n3<enter>");
    assert_eq!(screen.asked(), [Operation::Crash(n(3))]);
}

#[test]
fn by_default_nothing_is_done() {
    for keys in ["<enter>", "<esc>", "<ctrl-c>", "  <enter>"] {
        let mut screen = armed("3c");
        screen.keys(keys);
        assert!(
            screen.effects.is_empty() && matches!(screen.state.mode, Mode::Browse),
            "{keys}:\n{}",
            screen.picture()
        );
    }
}

#[test]
fn a_dialog_swallows_what_was_typed_before_it_opened() {
    let mut screen = Screen::new(80, 24, views::drill());
    screen.at(5_000);
    screen.keys("3cn3<enter><esc>");
    screen.at(5_199);
    screen.keys("n3<enter><ctrl-c>");
    assert!(screen.effects.is_empty());
    let Mode::Dialog(Dialog::Confirm(confirm)) = &screen.state.mode else { panic!("{}", screen.picture()) };
    assert_eq!(confirm.typed.value(), "");
    screen.at(5_200);
    screen.keys("n3<enter>");
    assert_eq!(screen.asked(), [Operation::Crash(n(3))]);
}

#[test]
fn a_name_is_typed_and_not_pasted() {
    let mut screen = armed("3c");
    screen.event(Event::Paste(String::from("n3\n")));
    screen.keys("<enter>");
    assert!(screen.effects.is_empty(), "{}", screen.picture());
    screen.at(2_000);
    let Mode::Dialog(Dialog::Confirm(confirm)) = &screen.state.mode else { panic!("{}", screen.picture()) };
    assert_eq!(confirm.typed.value(), "");
}

#[test]
fn what_takes_the_quorum_wants_the_clusters_name() {
    for line in [
        "crash all",
        "partition 1,2/3,4/5",
        "isolate all",
        "cut all",
        "loss all 100%",
        "delay all 10s",
        "pause all",
        "fail-disk all",
    ] {
        let mut screen = armed(&format!(":{line}<enter>"));
        assert!(screen.shows(&["QUORUM"]) && screen.shows(&["type prod-eu"]), "{line}:\n{}", screen.picture());
        assert!(screen.shows(&["NOBODY can lead"]), "{}", screen.picture());
        screen.keys("n3<enter>");
        assert_eq!(screen.asked(), [], "{line}");
        screen.keys("<ctrl-u>prod-eu<enter>");
        assert_eq!(screen.asked().len(), 1, "{line}");
    }
    let mut view = views::drill();
    for place in [0, 1] {
        view.nodes[place].life = Life::Unreachable { since_us: 0, why: String::from("timed out") };
    }
    let mut screen = Screen::new(80, 24, view);
    screen.keys("5c");
    assert!(screen.shows(&["QUORUM"]) && screen.shows(&["type prod-eu"]), "{}", screen.picture());
    assert!(screen.shows(&["n1 n2: counted as not there"]), "who is not heard is not counted:\n{}", screen.picture());
}

#[test]
fn what_takes_the_leader_is_known_by_what_it_does() {
    for (line, resolved) in [
        ("crash leader", Some(Operation::Crash(n(3)))),
        ("isolate leader", Some(Operation::Isolate(n(3)))),
        ("pause leader", Some(Operation::Pause(n(3)))),
        ("fail-disk n3", None),
        ("isolate n3", None),
        ("partition 1,3/2,4,5", None),
        ("partition 3", None),
        ("cut n3", None),
        ("loss n3 100%", None),
        ("delay n3 2s", None),
    ] {
        let mut screen = armed(&format!(":{line}<enter>"));
        assert!(screen.shows(&["takes the leader"]) && screen.shows(&["type n3"]), "{line}:\n{}", screen.picture());
        screen.keys("n3<enter>");
        let asked = screen.asked();
        assert_eq!(asked.len(), 1, "{line}");
        if let Some(resolved) = resolved {
            assert_eq!(asked, [resolved], "the leader of the dialog, whoever leads later");
        }
    }
}

#[test]
fn what_takes_neither_and_is_written_out_runs_at_once() {
    for line in [
        "crash n1",
        "isolate n2",
        "partition 1,2/3,4,5",
        "partition 1,2",
        "delay n3>n2 80ms",
        "cut n3>n2",
        "loss n3 20%",
        "slow-disk n3 50ms",
        "heal",
        "restart all",
        "unpause all",
    ] {
        let mut screen = armed(&format!(":{line}<enter>"));
        assert_eq!(screen.asked().len(), 1, "{line}:\n{}", screen.picture());
    }
    let mut screen = armed("pp<enter>");
    assert!(screen.shows(&["takes the leader"]), "the editor's partition is asked about too:\n{}", screen.picture());
    screen.keys("n3<enter>");
    assert_eq!(screen.asked().len(), 1);
}

#[test]
fn ones_own_cluster_asks_nothing() {
    for held in [Held::Lab, Held::Processes] {
        let mut view = views::healthy(5);
        view.held = held;
        let mut screen = Screen::new(80, 24, view);
        screen.keys("3c:crash all<enter>3i1cq");
        let asked = screen.effects.iter().filter(|effect| matches!(effect, Effect::Ask(_))).count();
        assert_eq!((asked, screen.effects.last()), (4, Some(&Effect::Quit)));
    }
}

#[test]
fn what_is_not_armed_is_left_to_the_cluster_to_refuse() {
    let mut screen = Screen::new(80, 24, views::attached());
    screen.keys(":crash leader<enter>");
    assert_eq!(screen.asked(), [Operation::Crash(Target::Leader)]);
}

#[test]
fn the_node_is_the_one_that_was_selected_and_a_changed_cluster_is_said() {
    let mut screen = armed("3c");
    let mut view = views::drill();
    view.nodes.reverse();
    screen.view(view);
    screen.keys("n3<enter>");
    assert_eq!(screen.asked(), [Operation::Crash(n(3))]);

    let mut screen = armed("3c");
    let mut view = views::drill();
    view.nodes[2] = views::follower(3);
    view.nodes[0] = views::leader(1, 5);
    screen.view(view);
    screen.keys("n3<enter>");
    assert_eq!(screen.asked(), []);
    assert!(screen.shows(&["the cluster has changed, nothing was done"]), "{}", screen.picture());

    let mut screen = armed("3c");
    screen.view(views::attached());
    screen.keys("n3<enter>");
    assert!(screen.asked().is_empty() && screen.shows(&["no longer armed"]), "{}", screen.picture());
}

#[test]
fn quitting_with_faults_of_ones_own_asks_and_heals_first() {
    for key in ["q", "<ctrl-c>", ":quit<enter>"] {
        let mut screen = armed(key);
        assert!(screen.effects.is_empty(), "{key}");
        assert!(screen.shows(&["(heal all, then quit)"]) && screen.shows(&["it goes on"]), "{}", screen.picture());
        assert!(screen.shows(&["1 fault of this console"]), "alice's is hers:\n{}", screen.picture());
        screen.keys("<enter>");
        assert_eq!(screen.asked(), [Operation::Heal]);
        answer(&mut screen, 1, Answer::Done(String::from("healed")));
        assert_eq!(screen.effects, [Effect::Quit], "not before they are healed");
    }
    let mut screen = armed("q");
    screen.keys("<enter>");
    screen.asked();
    answer(&mut screen, 1, Answer::Refused { why: String::from("not armed") });
    assert!(screen.effects.is_empty() && screen.shows(&["refused: not armed"]), "{}", screen.picture());
    let mut screen = armed("q");
    screen.keys("l<enter>");
    assert_eq!(screen.effects, [Effect::Quit]);
    let mut screen = armed("q");
    screen.keys("c<enter>");
    assert!(screen.effects.is_empty() && matches!(screen.state.mode, Mode::Browse));
    let mut screen = armed("q");
    screen.keys("<ctrl-c>");
    assert_eq!(screen.effects, [Effect::Quit], "who insists is let go");
}

#[test]
fn quitting_without_faults_of_ones_own_asks_nothing() {
    let mut view = views::drill();
    view.faults.remove(1);
    let mut screen = Screen::new(120, 40, view);
    assert!(screen.shows(&["q quit (the cluster goes on)"]), "{}", screen.picture());
    screen.keys("q");
    assert_eq!(screen.effects, [Effect::Quit]);

    let mut view = views::drill();
    view.faults.remove(1);
    let mut screen = Screen::new(120, 40, view);
    screen.keys(":delay n3>n2 80ms<enter>");
    answer(&mut screen, 1, Answer::Done(String::from("delayed")));
    screen.effects.clear();
    screen.keys("q");
    assert!(screen.effects.is_empty(), "a fault that was asked for here is one's own, whatever name it has");
}

#[test]
fn a_node_that_is_heard_again_is_told() {
    use raft_tui::control::{Happened, What};
    let mut screen = Screen::new(120, 40, views::half_heard());
    let why = String::from("connection refused");
    for (number, life) in
        [(1, Life::Unreachable { since_us: 0, why }), (2, Life::Running), (3, Life::Paused), (4, Life::Running)]
    {
        let what = What::Life { node: NodeId(5), life };
        screen.observe(Observation::Happened(std::sync::Arc::new(Happened { number, at_us: number, what })));
    }
    let told: Vec<&str> = screen.state.events.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].contains("nothing is heard of n5") && told[0].contains("connection refused"));
    assert_eq!((told[1], told[3]), ("n5 is heard again", "n5 goes on where it stood"));
}

#[test]
fn every_state_can_be_said_in_lines() {
    use raft_tui::cli::lines::{Asked, Form};
    let asked = Asked { line: 1, text: String::from("status") };
    let status = |form: Form, view: ClusterView| form.answered(&asked, &Answer::Status(std::sync::Arc::new(view)));
    let said = status(Form::Sentences, views::half_heard());
    for text in [
        "observe: read-only",
        "heard last 3.2 s ago",
        "paused",
        "nothing heard for 12.4 s: connection refused",
        "at 10.0.0.5:7300",
        "alarm of n1: clock is 4.1 s ahead",
    ] {
        assert!(said.contains(text), "{text} is missing:\n{said}");
    }
    let said = status(Form::Sentences, views::drill());
    assert!(said.contains("fault 1: delay n3>n2 80ms, since 00:31.790, 41.6 s left, by alice"), "{said}");
    assert!(said.contains("drill for 598.0 s more, fault injection enabled"), "{said}");
    let never = status(Form::Sentences, views::never_heard());
    let row = never.lines().find(|line| line.contains("= n5")).unwrap_or_default();
    assert_eq!(row.matches('–').count(), 7, "{row}");
    let json = |view| -> serde_json::Value {
        serde_json::from_str(&status(Form::Json, view)).unwrap_or_else(|error| panic!("{error}"))
    };
    let half = &json(views::half_heard())["status"];
    assert_eq!((&half["held"], &half["mode"], &half["mode_left_us"]), (&"live".into(), &"observe".into(), &().into()));
    assert_eq!((&half["nodes"][3]["life"], &half["nodes"][4]["life"]), (&"paused".into(), &"unreachable".into()));
    assert_eq!(half["nodes"][1]["age_us"], 3_200_000);
    assert_eq!(half["nodes"][1]["round_trip_us"], 1_760);
    assert_eq!(half["nodes"][1]["address"], "10.0.0.2:7300");
    assert_eq!(half["alarms"][0]["node"], "n1");
    let drill = &json(views::drill())["status"];
    assert_eq!((&drill["mode"], &drill["mode_left_us"]), (&"drill".into(), &598_000_000.into()));
    assert_eq!(
        (&drill["active_faults"][0]["left_us"], &drill["active_faults"][0]["by"]),
        (&41_600_000.into(), &"alice".into())
    );
    assert_eq!(drill["active_faults"][1]["by"], serde_json::Value::Null);
    let never = &json(views::never_heard())["status"]["nodes"][4];
    assert_eq!((&never["term"], &never["role"], &never["age_us"]), (&().into(), &().into(), &().into()));
    for text in views::HOSTILE {
        for form in [Form::Sentences, Form::Json] {
            let said = status(form, views::hostile_attached(text));
            assert!(said.lines().all(raft_tui::text::is_safe), "{said:?}");
        }
    }
}

#[test]
fn a_missing_capability_comes_before_a_missing_right() {
    let mut capabilities = views::ALL;
    capabilities.pause = Can::No("a cluster that runs elsewhere cannot be paused");
    let mut screen = Screen::with(80, 24, views::attached(), capabilities);
    screen.keys("P");
    assert!(screen.shows(&["P: a cluster that runs elsewhere"]), "{}", screen.picture());
}

#[test]
fn a_reason_that_is_begun_too_early_goes_where_it_belongs() {
    let mut screen = Screen::new(80, 24, views::attached());
    screen.keys("Aadd a key<enter>");
    let reason = String::from("add a key");
    assert_eq!(screen.asked(), [Operation::Arm { access: Access::Operator, duration_us: 900_000_000, reason }]);
    screen.keys("Ahealth<enter>");
    assert!(
        matches!(&screen.asked()[..], [Operation::Arm { reason, .. }] if reason == "health"),
        "{}",
        screen.picture()
    );
}

#[test]
fn what_cannot_be_done_elsewhere_is_not_hinted_and_said_in_one_line() {
    let mut screen = Screen::with(80, 24, views::drill(), CAPABILITIES);
    assert!(!screen.shows(&["r restart"]) && screen.shows(&["c crash"]), "{}", screen.picture());
    for key in ["r", "P", " "] {
        screen.keys(if key == " " { "<space>" } else { key });
        assert!(!screen.picture().lines().last().is_some_and(|line| line.contains('…')), "{}", screen.picture());
    }
    let mut confirm = armed("3c");
    assert!(confirm.shows(&["until somebody starts it again on its own machine"]), "{}", confirm.picture());
    confirm.keys("<esc>");
}

#[test]
fn a_round_trip_that_grows_moves_no_lines() {
    let rows = |us| {
        let mut view = views::attached();
        for node in &mut view.nodes {
            node.reach.as_mut().expect("it is heard").round_trip_us = Some(us);
        }
        let picture = Screen::new(120, 40, view).picture();
        picture.lines().position(|line| line.contains("program ")).unwrap_or_else(|| panic!("{picture}"))
    };
    assert_eq!(rows(900), rows(123_456));
}

#[test]
fn who_stands_still_on_purpose_is_not_called_stale() {
    let mut view = views::half_heard();
    view.held = Held::Processes;
    view.stopped = true;
    let screen = Screen::new(120, 40, view);
    assert!(!screen.shows(&["stale"]), "{}", screen.picture());
}

#[test]
fn a_leader_of_which_nothing_is_heard_takes_no_writes() {
    use raft_tui::control::WritesStand;
    let writes = |view: &ClusterView| raft_tui::cluster::local::writes(&view.nodes, view.stopped, 15);
    let mut view = views::attached();
    assert_eq!(writes(&view), WritesStand::Available);
    view.nodes[2].reach.as_mut().expect("it is heard").age_us = Some(2_100_000);
    assert!(matches!(writes(&view), WritesStand::Stalled { why } if why.contains("n3")));
}
