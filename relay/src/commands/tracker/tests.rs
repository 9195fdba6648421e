use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn tracker() -> Tracker {
    Tracker::new(TerminalSize::clamped(40, 8), Secrets::Redact)
}

fn at(millis: i64) -> UnixMillis {
    UnixMillis::new(millis)
}

fn taken(tracker: &mut Tracker) -> Vec<Event> {
    std::iter::from_fn(|| tracker.take()).collect()
}

/// A shell and a person, in steps: `<` is output, `>` is input, one second apart.
fn texts(steps: &[&str]) -> Vec<String> {
    let mut tracker = tracker();
    for (second, step) in (0_i64..).zip(steps) {
        let (kind, bytes) = step.split_at(1);
        match kind {
            "<" => tracker.output(bytes.as_bytes(), at(second * 1_000)),
            _ => tracker.input(bytes.as_bytes(), at(second * 1_000)),
        }
    }
    let submitted = |event| match event {
        Event::Submitted(command) => Some(command.text),
        Event::Finished(_) => None,
    };
    taken(&mut tracker).into_iter().filter_map(submitted).collect()
}

#[test]
fn marks_are_the_truth_and_the_screen_is_not_asked() {
    let mut tracker = tracker();
    tracker.mark(Mark::Cwd("/srv".into()), at(0));
    tracker.mark(Mark::PromptStart, at(0));
    tracker.output(b"\x1b[?2004h$ ", at(0));
    tracker.mark(Mark::PromptEnd, at(0));
    tracker.input(b"ls -p \r", at(1_000));
    tracker.output(b"ls -p \r\n\x1b[?2004l\r", at(1_010));
    tracker.mark(Mark::CommandLine("ls -p \n".into()), at(1_020));
    tracker.mark(Mark::Executed, at(1_020));
    tracker.mark(Mark::Cwd("/tmp".into()), at(1_030));
    tracker.mark(Mark::Finished(Some(2)), at(1_030));
    let command = Command {
        number: 1,
        text: "ls -p".into(),
        source: Source::Marks,
        extent: Extent::Whole,
        entered: None,
        confidence: 1.0,
        exit_code: None,
        cwd: Some("/srv".into()),
        redactions: 0,
        at: at(1_020),
    };
    let finished = Event::Finished(Command { exit_code: Some(2), ..command.clone() });
    assert_eq!(taken(&mut tracker), [Event::Submitted(command), finished]);
}

#[test]
fn inside_a_command_of_a_marked_shell_the_screen_is_read() {
    let mut tracker = tracker();
    tracker.mark(Mark::CommandLine("sh".into()), at(0));
    tracker.mark(Mark::Executed, at(0));
    tracker.output(b"# ", at(0));
    tracker.input(b"id\r", at(1_000));
    tracker.output(b"id\r\nuid=0\r\n# ", at(1_010));
    tracker.mark(Mark::PromptStart, at(2_000));
    let events = taken(&mut tracker);
    assert!(matches!(&events[1], Event::Submitted(nested) if nested.text == "id" && nested.source == Source::Screen));
    assert!(matches!(&events[2], Event::Finished(outer) if outer.text == "sh" && outer.exit_code.is_none()));
}

#[test]
fn what_is_typed_without_echo_is_no_command() {
    let bash = "<\x1b[?2004hroot@pod:/# ";
    let run = [bash, ">login\r", "<login\r\n\x1b[?2004l\r"];
    for asked in ["<Password: ", "<root@pod:/# ", "<[sudo] password for root: ", "<> ", "<"] {
        for echo in ["", "********", "S", "S3", "3cr3t"] {
            let echo = format!("<{echo}");
            let steps = [
                &run[..],
                &[asked, ">S3cr3t", &echo, ">!x\r", "<\r\nwelcome\r\n", bash, ">id\r", "<id\r\n\x1b[?2004l\r"],
            ]
            .concat();
            assert_eq!(texts(&steps), ["login", "id"], "{asked:?}, {echo:?}");
        }
    }
}

#[test]
fn secrets_in_commands_are_gone_and_counted() {
    let mut tracker = tracker();
    for line in [
        "mysql -phunter2",
        "cat > k <<X",
        "-----BEGIN PRIVATE KEY-----",
        "MIIEpAIBAAKCAQEA",
        "-----END PRIVATE KEY-----",
        "ls",
    ] {
        tracker.mark(Mark::CommandLine(line.into()), at(0));
    }
    let submitted = taken(&mut tracker).into_iter().filter_map(|event| match event {
        Event::Submitted(command) => Some((command.text, command.redactions)),
        Event::Finished(_) => None,
    });
    let submitted: Vec<(String, u32)> = submitted.collect();
    assert_eq!(submitted[0], ("mysql -p[redacted]".into(), 1));
    assert_eq!(submitted[3], ("[redacted]".into(), 1));
    assert_eq!(submitted[5], ("ls".into(), 0));
}

#[test]
fn a_huge_command_is_cut_and_a_flood_of_input_is_not_kept() {
    let mut tracker = tracker();
    tracker.mark(Mark::CommandLine("echo ".repeat(2_000_000)), at(0));
    let events = taken(&mut tracker);
    assert!(
        matches!(&events[0], Event::Submitted(command) if command.text.len() <= MAX_COMMAND_CHARACTERS && command.extent == Extent::Cut)
    );
    tracker.output(b"\x1b[?2004h$ ", at(0));
    for _ in 0..100 {
        tracker.input(&vec![b'x'; 64 * 1024], at(1_000));
    }
    tracker.input(b"\r", at(1_000));
    tracker.output(b"x\r\n\x1b[?2004l\r", at(1_000));
    taken(&mut tracker);
}

#[test]
fn a_flood_of_output_costs_what_the_screen_costs() {
    let flood = b"y\r\n".repeat(10_000);
    let time = |tracker: &mut Tracker| {
        let start = std::time::Instant::now();
        tracker.output(&flood, at(2_000));
        start.elapsed()
    };
    let mut idle = tracker();
    let plain = time(&mut idle);
    let mut waiting = tracker();
    waiting.output(b"# ", at(0));
    for _ in 0..80 {
        waiting.input(b"\x1b[Als -la\r", at(1_000));
    }
    let watched = time(&mut waiting);
    assert!(watched < plain * 400 + Duration::from_secs(2), "{plain:?} became {watched:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Output(Vec<u8>),
    Input(Vec<u8>),
    Resize(u16, u16),
    Mark(Mark),
}

fn terminal_bytes() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..20),
        Just(b"\x1b[?2004h$ ".to_vec()),
        Just(b"\x1b[?2004l".to_vec()),
        Just(b"\x1b[6n".to_vec()),
        Just(b"\x1b[?1049h".to_vec()),
        Just(b"\x1b[?1049l".to_vec()),
        Just(b"\x1b[200~a\nb\x1b[201~".to_vec()),
        Just("ls \u{4f60}\u{597d} e\u{301}\r\n".as_bytes().to_vec()),
        Just(b"ls\r".to_vec()),
        Just(b"\x1b[2J\x1b[H\x1b[3J".to_vec()),
        "(\\x1b\\[[0-9;?]{0,6}[@-~]){0,5}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => terminal_bytes().prop_map(Step::Output),
        4 => terminal_bytes().prop_map(Step::Input),
        1 => (1_u16..60, 1_u16..20).prop_map(|(columns, rows)| Step::Resize(columns, rows)),
        1 => prop_oneof![Just(Mark::PromptStart), Just(Mark::Executed), "\\PC{0,20}".prop_map(Mark::CommandLine)].prop_map(Step::Mark),
    ]
}

proptest! {
    #[test]
    fn anything_may_come_in_any_order(steps in proptest::collection::vec(step(), 0..40)) {
        let mut tracker = tracker();
        for (index, step) in (0_i64..).zip(steps) {
            let now = at(index * 37);
            match step {
                Step::Output(bytes) => tracker.output(&bytes, now),
                Step::Input(bytes) => tracker.input(&bytes, now),
                Step::Resize(columns, rows) => tracker.resize(TerminalSize::clamped(columns, rows)),
                Step::Mark(mark) => tracker.mark(mark, now),
            }
            for event in taken(&mut tracker) {
                let (Event::Submitted(command) | Event::Finished(command)) = event;
                prop_assert!(!command.text.trim().is_empty() && command.text.len() <= MAX_COMMAND_BYTES);
            }
        }
        tracker.finish();
    }
}
