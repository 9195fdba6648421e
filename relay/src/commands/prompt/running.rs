//! What a command that runs may do to the prompt that comes next.

/// Commands that may start another shell.
pub(super) fn starts_shell(command: &str) -> bool {
    const SHELLS: [&str; 43] = [
        "sh",
        "bash",
        "zsh",
        "fish",
        "ash",
        "dash",
        "ksh",
        "mksh",
        "csh",
        "tcsh",
        "busybox",
        "rbash",
        "nu",
        "pwsh",
        "xonsh",
        "su",
        "sudo",
        "doas",
        "ssh",
        "mosh",
        "chroot",
        "nsenter",
        "unshare",
        "setpriv",
        "runuser",
        "login",
        "newgrp",
        "sg",
        "kubectl",
        "oc",
        "docker",
        "podman",
        "nerdctl",
        "crictl",
        "ctr",
        "exec",
        "script",
        "env",
        "nix-shell",
        "poetry",
        "pipenv",
        "telnet",
        "lxc",
    ];
    let words: Vec<&str> = words(command).collect();
    let runs_text = |index: usize| words.get(index + 1).is_some_and(|next| matches!(*next, "-c" | "-lc" | "-ec"));
    words.iter().enumerate().any(|(index, word)| SHELLS.contains(word) && !runs_text(index))
}

/// Commands after which the shell's own prompt may look different.
pub(super) fn changes_prompt(command: &str) -> bool {
    const MARKS: [&str; 5] = ["PS1=", "PS2=", "PROMPT=", "fish_prompt", "fish_greeting"];
    MARKS.iter().any(|mark| command.contains(mark))
        || words(command).any(|word| matches!(word, "source" | "." | "prompt"))
}

/// Commands of the shell itself that run nothing else: what stands below one is the next prompt, however it looks.
pub(super) fn ends_at_once(command: &str) -> bool {
    const INSIDE: [&str; 7] = ["cd", "pushd", "popd", "export", "set", "unset", "alias"];
    let simple = !command.contains([';', '|', '&', '`', '(', '<']);
    let first = words(command).next().unwrap_or_default();
    simple && (INSIDE.contains(&first) || sets_prompt(command))
}

/// Commands that do nothing but set the prompt.
pub(super) fn sets_prompt(command: &str) -> bool {
    let assignment = command.trim_start().trim_start_matches("export ");
    assignment.starts_with("PS1=") || assignment.starts_with("PROMPT=")
}

/// Interpreters whose prompt looks like a shell's that waits for more of a command.
pub(super) fn starts_interpreter(command: &str) -> bool {
    const INTERPRETERS: [&str; 10] = ["node", "nodejs", "lua", "R", "tclsh", "ftp", "nslookup", "deno", "php", "bc"];
    !command.contains("<<") && words(command).next().is_some_and(|word| INTERPRETERS.contains(&word))
}

/// The words of a command without the folders before them.
fn words(command: &str) -> impl Iterator<Item = &str> {
    const AT_MOST: usize = 64;
    let words = command.split(|character: char| character.is_whitespace() || ";|&()`{}".contains(character));
    words.filter(|word| !word.is_empty()).take(AT_MOST).map(|word| word.rsplit('/').next().unwrap_or(word))
}
