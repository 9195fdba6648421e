//! The program's command line and the commands that it takes while it runs.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::control::Cut;
use crate::profile::{BytesPerSecond, Impairment, Probability, Profile};

/// A seeded impairment proxy between clients and one upstream.
///
/// Prints `ready ADDRESS` on standard output once it listens. Then it takes commands on standard input, one a line, and
/// answers each with one line: `cut both|to-upstream|to-client`, `heal`, `change-address` (UDP), `reset` (TCP),
/// `profile` followed by the impairment options below, `counters`. It runs until it is ended by a signal.
#[derive(Debug, Parser)]
#[command(name = "podlatch-impair", version)]
pub struct Cli {
    /// What to carry
    #[arg(value_enum)]
    pub protocol: Protocol,
    /// Where to listen; port 0 takes any
    #[arg(long, default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Where to send on to
    #[arg(long)]
    pub upstream: SocketAddr,
    /// Decides every chance
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// What to do to the traffic from the start
    #[command(flatten)]
    pub profile: ProfileOptions,
}

/// What is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Packets, one flow for each client address
    Udp,
    /// Connections
    Tcp,
}

/// A profile on a command line.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ProfileOptions {
    /// Which direction to impair; the other is left alone
    #[arg(long, value_enum, default_value = "both")]
    direction: DirectionOption,
    /// How long everything takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,
    /// Up to this much more, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 0)]
    jitter_ms: u64,
    /// How much is lost, such as 2%
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    loss: Probability,
    /// How much arrives twice
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    duplicate: Probability,
    /// How much is overtaken by what comes later
    #[arg(long, value_name = "PERCENT", default_value = "0%")]
    reorder: Probability,
    /// Bytes a second; unlimited if not given
    #[arg(long, value_name = "BYTES", value_parser = parse_rate)]
    rate: Option<BytesPerSecond>,
    /// How many bytes may wait
    #[arg(long, value_name = "BYTES", default_value_t = Impairment::NONE.queue_bytes)]
    queue_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DirectionOption {
    Both,
    ToUpstream,
    ToClient,
}

impl ProfileOptions {
    /// The profile that the options describe.
    pub fn profile(&self) -> Profile {
        let impairment = Impairment {
            delay: Duration::from_millis(self.delay_ms),
            jitter: Duration::from_millis(self.jitter_ms),
            loss: self.loss,
            duplicate: self.duplicate,
            reorder: self.reorder,
            rate: self.rate,
            queue_bytes: self.queue_bytes,
            ..Impairment::NONE
        };
        match self.direction {
            DirectionOption::Both => Profile::both(impairment),
            DirectionOption::ToUpstream => Profile { to_upstream: impairment, to_client: Impairment::NONE },
            DirectionOption::ToClient => Profile { to_upstream: Impairment::NONE, to_client: impairment },
        }
    }
}

/// A command on standard input.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Lets nothing pass in these directions
    Cut {
        /// Which
        #[arg(value_enum)]
        directions: CutOption,
    },
    /// Lets everything pass again
    Heal,
    /// Takes new source ports towards the upstream
    ChangeAddress,
    /// Resets every connection
    Reset,
    /// Treats what comes from now on like this
    Profile(ProfileOptions),
    /// Says what happened so far
    Counters,
}

/// Which directions to cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CutOption {
    /// Both of them
    Both,
    /// From the clients to the upstream
    ToUpstream,
    /// From the upstream to the clients
    ToClient,
}

impl From<CutOption> for Cut {
    fn from(option: CutOption) -> Self {
        match option {
            CutOption::Both => Self::Both,
            CutOption::ToUpstream => Self::ToUpstream,
            CutOption::ToClient => Self::ToClient,
        }
    }
}

#[derive(Debug, Parser)]
#[command(no_binary_name = true, disable_help_flag = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let parsed = CommandLine::try_parse_from(line.split_whitespace());
        // The first line of clap's message says it; the answer has one line only.
        parsed.map(|line| line.command).map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())
    }
}

fn parse_rate(text: &str) -> Result<BytesPerSecond, String> {
    let bytes = text.parse().map_err(|_| "write a whole number of bytes a second".to_owned())?;
    BytesPerSecond::new(bytes).ok_or_else(|| "a rate is at least 1; to let nothing pass, cut".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read() {
        assert_eq!("cut to-client".parse(), Ok(Command::Cut { directions: CutOption::ToClient }));
        assert_eq!(" heal ".parse(), Ok(Command::Heal));
        assert!("cut".parse::<Command>().is_err());
        assert!("".parse::<Command>().is_err());
        let refused = "explode".parse::<Command>().expect_err("no such command");
        assert!(!refused.contains('\n'), "{refused}");
    }

    #[test]
    fn a_profile_command_describes_the_whole_profile() {
        let Ok(Command::Profile(options)) = "profile --delay-ms 40 --loss 2% --direction to-client".parse() else {
            panic!("a profile")
        };
        let to_client =
            Impairment { delay: Duration::from_millis(40), loss: Probability::percent(2), ..Impairment::NONE };
        assert_eq!(options.profile(), Profile { to_upstream: Impairment::NONE, to_client });
        assert!("profile --rate 0".parse::<Command>().is_err());
    }
}
