use podlatch_protocol::terminal::TerminalSize;

use crate::clock::UnixMillis;
use crate::commands::{Event, Secrets, Tracker};

/// A shell and a person, in steps: `<` is output, `>` is input, one second apart.
fn texts(steps: &[&str]) -> Vec<String> {
    let mut tracker = Tracker::new(TerminalSize::clamped(40, 12), Secrets::Keep);
    for (second, step) in (0_i64..).zip(steps) {
        let at = UnixMillis::new(second * 1_000);
        match step.split_at(1) {
            ("<", bytes) => tracker.output(bytes.as_bytes(), at),
            (_, bytes) => tracker.input(bytes.as_bytes(), at),
        }
    }
    let events = std::iter::from_fn(|| tracker.take());
    let submitted = |event| match event {
        Event::Submitted(command) => Some(command.text),
        Event::Finished(_) => None,
    };
    events.filter_map(submitted).collect()
}

const BASH: &str = "<\x1b[?2004hroot@pod:/# ";
const ASH: &str = "</ # \x1b[6n";

#[test]
fn a_line_is_whole_although_a_job_wrote_into_it() {
    for (shell, steps) in [
        ("busybox", [ASH, ">echo ty", "<echo tynoise\r\n", ">ped\r", "<ped\r\ntyped\r\n/ # \x1b[6n"]),
        ("busybox, behind", [ASH, "<no newline", ">echo typed\r", "<echo typed\r\n", "<typed\r\n"]),
        ("busybox, below", [ASH, "<noise\r\nmore\r\n", ">echo typed", "<echo typed", ">\r"]),
        ("dash", ["<# ", ">echo ty", "<echo tynoise\r\n", ">ped\r", "<ped\r\ntyped\r\n# "]),
        ("bash", [BASH, ">echo ty", "<echo tynoise\r\n", ">ped\r", "<ped\r\n\x1b[?2004l\rtyped\r\n"]),
        ("bash, below", [BASH, "<noise\r\nmore\r\n", ">echo typed\r", "<echo typed\r\n\x1b[?2004l\r", "<typed\r\n"]),
    ] {
        let steps = [&steps[..], &["<\r\n"]].concat();
        assert_eq!(texts(&steps), ["echo typed"], "{shell}");
    }
}

#[test]
fn a_shell_may_put_a_line_behind_its_prompt_by_itself() {
    let ran = [BASH, ">ls\r", "<ls\r\n\x1b[?2004l\rout\r\n"];
    let ctrl_o =
        ["<\x1b[?2004hroot@pod:/# ", ">\x1b[A\x1b[A\x0f", "<echo 1\r\n\x1b[?2004l\r1\r\n\x1b[?2004hroot@pod:/# echo 2"];
    let steps = [&ran[..], &ctrl_o, &[">\r", "<\r\n\x1b[?2004l\r2\r\n"]].concat();
    assert_eq!(texts(&steps), ["ls", "echo 1", "echo 2"]);
    let ahead = [">sleep 3\r", "<sleep 3\r\n\x1b[?2004l\r", ">echo x", "<echo x\x1b[?2004hroot@pod:/# echo x"];
    let steps = [&ran[..], &[BASH], &ahead, &[">y\r", "<y\r\n\x1b[?2004l\rxy\r\n"]].concat();
    assert_eq!(texts(&steps), ["ls", "sleep 3", "echo xy"]);
}

#[test]
fn a_prompt_that_shows_the_time_is_the_same_prompt() {
    let first = ["<\x1b[?2004h10:00:00 /srv % ", ">ls\r", "<ls\r\n\x1b[?2004l\r"];
    // Drawn again while the line was typed, so that the prompt at which it was begun is gone.
    let again =
        ["<\x1b[?2004h10:00:03 /srv % ", ">ec", "<ec\r\x1b[J10:00:05 /srv % ec", ">ho a\r", "<ho a\r\n\x1b[?2004l\r"];
    assert_eq!(texts(&[&first[..], &again].concat()), ["ls", "echo a"]);
    let edited =
        ["<\x1b[?2004h10:00:03 /srv % ", ">\x1b[A", "<ls\r\x1b[J10:00:05 /srv % ls", "> -l\r", "< -l\r\n\x1b[?2004l\r"];
    assert_eq!(texts(&[&first[..], &edited].concat()), ["ls", "ls -l"]);
    let right = [
        "<\x1b[?2004h10:00:03 % \x1b[30C/\r\x1b[11C",
        ">ec",
        "<ec\r\x1b[J10:00:05 % ec\x1b[28C/\r\x1b[13C",
        ">ho a\r",
        "<ho a\r\n\x1b[?2004l\r",
    ];
    assert_eq!(texts(&[&first[..], &right].concat()), ["ls", "echo a"]);
    let mode = ["<\x1b[?2004h[I] 10:00:03 % ", ">ls\x1b", "<ls\r[N] 10:00:03 % ls", ">\r", "<\r\n\x1b[?2004l\r"];
    assert_eq!(texts(&[&first[..], &mode].concat()), ["ls", "ls"]);
    let no_newline = ["<out\x1b[?2004h10:00:04 /srv % ", ">id\r", "<id\r\n\x1b[?2004l\r"];
    assert_eq!(texts(&[&first[..], &no_newline].concat()), ["ls", "id"]);
}

#[test]
fn what_is_suggested_is_not_submitted_although_lines_of_a_program_wait() {
    let tmux = ["<\x1b[?2004h> ", ">tmux\r", "<tmux\r\n\x1b[?2004l\r\x1b[?1049h# ", ">echo in\r", ">exit\r"];
    let after = ["<\x1b[?1049l\x1b[?2004h> ", ">ls\r", "<ls -lh *.txt\r\x1b[4C\r\n\x1b[?2004l\r"];
    assert_eq!(texts(&[&tmux[..], &after].concat()), ["tmux", "ls"]);
}

#[test]
fn a_search_in_the_history_is_no_part_of_the_line() {
    let first = ["<$ ", ">echo nail\r", "<echo nail\r\nnail\r\n$ "];
    let search = [">\x12nai", "<\r(reverse-i-search)`nai': echo nail", ">\r", "<\r\x1b[K$ echo nail\r\nnail\r\n$ "];
    assert_eq!(texts(&[&first[..], &search].concat()), ["echo nail", "echo nail"]);
    let edited = [">\x12nai\x1b[C", "<\r\x1b[K$ echo nail", ">s\r", "<s\r\nnails\r\n$ "];
    assert_eq!(texts(&[&first[..], &edited].concat()), ["echo nail", "echo nails"]);
}

#[test]
fn a_line_goes_on_below_an_empty_one() {
    let steps = [
        ASH,
        ">cat <<X\r",
        "<cat <<X\r\n> \x1b[6n",
        ">\r",
        "<\r\n> \x1b[6n",
        ">a\r",
        "<a\r\n> \x1b[6n",
        ">X\r",
        "<X\r\n",
    ];
    assert_eq!(texts(&steps), ["cat <<X", "a", "X"]);
}

#[test]
fn a_shell_inside_another_need_not_ask_for_the_cursor() {
    let steps = [ASH, ">dash\r", "<dash\r\n# ", ">id\r", "<id\r\nuid=0\r\n# ", ">exit\r", "<exit\r\n/ # \x1b[6n"];
    assert_eq!(texts(&steps), ["dash", "id", "exit"]);
}

#[test]
fn what_was_typed_after_an_unknown_key_may_stand_anywhere_in_a_line_of_busybox() {
    let steps = [ASH, ">echo one three\x1bb", "<echo one three\x1b[5D", ">two ", "<two three\x1b[5D", ">\r", "<\r\n"];
    assert_eq!(texts(&steps), ["echo one two three"]);
}

#[test]
fn a_line_that_busybox_wraps_early_is_one() {
    let ash = "<\x1b[36mpod\x1b[0m:/# \x1b[6n";
    let recalled = "<echo 23456789 123456789\r\n123456";
    let steps =
        [ash, ">ls\r", "<ls\r\nout\r\n\x1b[36mpod\x1b[0m:/# \x1b[6n", ">\x1b[A\x1b[A", recalled, ">7\r", "<7\r\n"];
    assert_eq!(texts(&steps), ["ls", "echo 23456789 1234567891234567"]);
}

#[test]
fn a_line_that_is_recalled_after_ctrl_c_is_the_recalled_one() {
    let fish = "<\x1b[?2004h/ > ";
    let first = [fish, ">ls\r", "<ls\r\n\x1b[?2004lout\r\n", fish];
    let steps =
        [&first[..], &[">wrong\x03", "<wrong^C\r\n\x1b[?2004h/ > ", ">\x1b[A\r", "<ls\r\n\x1b[?2004lout\r\n"]].concat();
    assert_eq!(texts(&steps), ["ls", "ls"]);
}

#[test]
fn a_line_that_busybox_wraps_at_a_blank_is_one() {
    let recalled = "<echo 23456789 123456789 123456789 1 \r\n456";
    let steps = [ASH, ">ls\r", "<ls\r\nout\r\n/ # \x1b[6n", ">\x1b[A\x1b[A", recalled, ">7\r", "<7\r\n"];
    assert_eq!(texts(&steps), ["ls", "echo 23456789 123456789 123456789 1 4567"]);
}

#[test]
fn characters_that_the_shell_cannot_show_are_known_from_the_keys() {
    let show = |shown: &str| format!("<echo {shown}\r\n\x1b[?2004l\r");
    for (typed, shown) in [("é", "<ffffffff><ffffffff>"), ("e\u{301}", "e<0301>"), ("e\u{301}", "e"), ("é", "?")] {
        let line = format!(">echo {typed}\r");
        assert_eq!(texts(&[BASH, &line, &show(shown)]), [format!("echo {typed}")], "{shown}");
    }
}

#[test]
fn a_right_prompt_that_ends_at_the_margin_is_no_part_of_a_command_of_several_lines() {
    let fish = "<\x1b[?2004hpod> \r\x1b[35C12:30\r\x1b[5C";
    let begun = [fish, ">for i in 1\r", "<for i in 1\r\x1b[35C12:30\r\r\n\x1b[5C"];
    let steps = [&begun[..], &[">end\r", "<end\r\n\x1b[?2004lout\r\n"]].concat();
    assert_eq!(texts(&steps), ["for i in 1\nend"]);
}

#[test]
fn a_right_prompt_alone_is_no_command() {
    let zsh = "pod% \x1b[K\x1b[29C12:30\x1b[34D\x1b[?2004h";
    let late = &format!("<{zsh}\x1b[?2004l\r\r\n{zsh}\x1b[?2004l\r\r\n{zsh}");
    let ls = ["<pod% \x1b[K\x1b[?2004h", ">ls\r", "<ls\x1b[?2004l\r\r\nout\r\n"];
    assert_eq!(texts(&[&ls[..], &[">\r\r", late]].concat()), ["ls"]);
}

#[test]
fn lines_below_the_cursor_belong_to_a_recalled_command_of_zsh() {
    let zsh = "<\x1b[?2004hpod% ";
    let ls = [zsh, ">ls\r", "<ls\x1b[?2004l\r\r\nout\r\n", zsh];
    let recalled =
        [">\x1b[A\x1b[A", "<for i in 1; do\r\r\nls\r\r\ndone\x1b[2A", ">\r", "<\x1b[?2004l\x1b[2B\r\r\nout\r\n"];
    assert_eq!(texts(&[&ls[..], &recalled].concat()), ["ls", "for i in 1; do\nls\ndone"]);
    let at_line_start = recalled[1].replace("\x1b[2A", "\x1b[2A\r");
    let recalled = [recalled[0], &at_line_start, recalled[2], recalled[3]];
    assert_eq!(texts(&[&ls[..], &recalled].concat()), ["ls", "for i in 1; do\nls\ndone"]);
    // The search's own line stands below the command, and is cleared when the command is entered.
    let searched = [">\x12l", "<ls\r\r\nbck-i-search: l_\x1b[A\x1b[11D", ">\r", "<ls\x1b[1B\r\x1b[K\x1b[A\x1b[7C"];
    let below = ["<\x1b[?2004l\x1b[1B\rout\r\n", zsh, ">pwd\r", "<pwd\x1b[?2004l\r\r\n/\r\n"];
    assert_eq!(texts(&[&ls[..], &searched, &below].concat()), ["ls", "ls", "pwd"]);
}

#[test]
fn a_line_that_was_written_over_where_it_wraps_is_the_typed_one() {
    // The shell does not know that `left` stands before its prompt, so it goes on four columns too late.
    let typed = ">echo one two three four five six seven\r";
    for (prompt, over) in [
        ("<left\x1b[?2004hpod:/# ", "<echo one two three four five six\r seven\r\n\x1b[?2004l\r"),
        ("<leftpod:/# ", "<echo one two three four five six\r seven\r\n"),
    ] {
        let first = prompt.replace("left", "");
        let steps = [first.as_str(), ">ls\r", "<ls\r\n\x1b[?2004l\r", prompt, typed, over, "<out\r\n"];
        assert_eq!(texts(&steps), ["ls", "echo one two three four five six seven"], "{prompt:?}");
    }
}

#[test]
fn a_line_of_busybox_that_fills_its_last_row_is_whole() {
    let typed = ">echo 23456789 123456789 123456789 1 23456789 123456789 123456789 12345678901";
    let shown = "<echo 23456789 123456789 123456789 1 \r\r\n23456789 123456789 123456789 12345678901\r\r\n";
    let steps = [ASH, ">ls\r", "<ls\r\n", ASH, typed, shown, ">\r", "<out\r\n"];
    assert_eq!(texts(&steps), ["ls", &typed[1..]]);
}

#[test]
fn a_recalled_line_of_busybox_is_not_taken_where_it_wraps() {
    let recalled = "<echo 23456789 123456789 123456789 12\r\r\n456";
    let steps = [ASH, ">ls\r", "<ls\r\n", ASH, ">\x1b[A\x1b[A\x7f\r", recalled, "<\x08\x1b[J", "<\r\nout\r\n"];
    assert_eq!(texts(&steps), ["ls", "echo 23456789 123456789 123456789 1245"]);
}

#[test]
fn a_shell_inside_busybox_may_have_the_same_prompt_and_not_ask_for_the_cursor() {
    let dash = ["<dash\r\n/ # ", ">pwd\r", "<pwd\r\n/\r\n/ # ", ">ls\r", "<ls\r\nout\r\n/ # "];
    assert_eq!(texts(&[&[ASH, ">dash\r"][..], &dash].concat()), ["dash", "pwd", "ls"]);
}

#[test]
fn a_paste_that_came_before_the_prompt_is_known_when_its_echo_is_seen() {
    let first = [BASH, ">sleep 1\r", "<sleep 1\r\n\x1b[?2004l\r", ">\x1b[200~echo one\recho two\x1b[201~"];
    let steps = [BASH, "<echo one\r\necho two", ">\r", "<\r\n\x1b[?2004l\rout\r\n"];
    assert_eq!(texts(&[&first[..], &steps].concat()), ["sleep 1", "echo one\necho two"]);
}
