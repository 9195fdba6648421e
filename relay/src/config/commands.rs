//! How the commands of sessions are found.

use clap::{ArgAction, Args};

use super::switch;

/// The flags.
#[derive(Debug, Clone, Copy, Args)]
pub struct CommandArgs {
    /// Leave shells as they are: bash, zsh and fish then do not tell the relay which commands they run
    #[arg(long, env = "PODLATCH_NO_SHELL_MARKS", action = ArgAction::SetTrue, value_parser = switch())]
    pub no_shell_marks: bool,

    /// Do not look for commands: recordings then have no marks, and the audit log no `command_executed`
    #[arg(long, env = "PODLATCH_NO_COMMANDS", action = ArgAction::SetTrue, value_parser = switch())]
    pub no_commands: bool,
}

/// Where the commands of a session are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandSource {
    /// In what shells tell where they can, on the screen otherwise.
    MarksAndScreen,
    /// On the screen.
    Screen,
    /// They are not looked for.
    Nowhere,
}

impl From<CommandArgs> for CommandSource {
    fn from(args: CommandArgs) -> Self {
        match (args.no_commands, args.no_shell_marks) {
            (true, _) => Self::Nowhere,
            (false, true) => Self::Screen,
            (false, false) => Self::MarksAndScreen,
        }
    }
}
