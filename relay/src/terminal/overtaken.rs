//! Output that an interrupt overtook, as its viewer gets it: the end of it, once in a while. Pure.
//!
//! Between a program and this relay there are megabytes of a flood in the sockets of API server, kubelet and runtime, which
//! only reading empties. The prompt stands behind them, and no browser draws that much in a second, nor does every network
//! carry it.

use std::time::Duration;

use tokio::time::Instant;

/// How long after its interrupt a program's output counts as written before it.
const LASTS: Duration = Duration::from_secs(3);

/// After something else was typed, most of what comes is the answer to that.
const LASTS_AFTER_INPUT: Duration = Duration::from_millis(300);

/// How often the viewer gets the end of what came: a slow browser needs a moment to draw each.
const INTERVAL: Duration = Duration::from_millis(150);

/// So much goes out as it comes, in bytes: an echo, a prompt, a screen that is drawn anew. A slow browser needs a tenth of a
/// second for it where the lines are short.
const AT_ONCE_BYTES: u64 = 16 * 1024;

/// Ctrl-C, Ctrl-\ and Ctrl-Z: what stops a program.
const KEYS: [u8; 3] = [0x03, 0x1c, 0x1a];

/// What somebody typed, as far as output is overtaken by it: the latest interrupt, which a program has when it has all input
/// below `input_end`. Whoever looks late misses none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// Nothing yet that stops a program.
    Nothing,
    /// An interrupt.
    Interrupt { input_end: u64 },
    /// An interrupt, and then something else.
    More { input_end: u64 },
}

impl Typed {
    /// Takes in what was typed at an offset; whether that is news. Within other input those keys are a paste, which stops
    /// nothing.
    pub(super) fn handle(&mut self, offset: u64, input: &[u8]) -> bool {
        let next = match (input, *self) {
            ([key], _) if KEYS.contains(key) => Self::Interrupt { input_end: offset.saturating_add(1) },
            (_, Self::Interrupt { input_end }) => Self::More { input_end },
            (_, Self::Nothing | Self::More { .. }) => return false,
        };
        *self = next;
        true
    }
}

/// What to do with what is not sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// It goes out as ever.
    All,
    /// It waits for more, at most until then.
    Later(Instant),
    /// Its end goes out.
    End,
}

/// Whether the viewer has drawn the last end that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LastEnd {
    Drawn,
    OnItsWay,
}

/// Whether the viewer wants no more than the end of what comes.
#[derive(Debug)]
pub(super) struct Overtaken {
    stage: Stage,
    /// The latest interrupt that was heard of: where the input ends that it is in.
    heard: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    No,
    /// As soon as the program has its interrupt, for so long.
    Soon {
        lasts: Duration,
    },
    Yes {
        /// What was sent when it began, or when the end went out last.
        from: u64,
        next: Instant,
        until: Instant,
    },
}

impl Overtaken {
    /// Nobody interrupted anything.
    pub(super) const fn no() -> Self {
        Self { stage: Stage::No, heard: 0 }
    }

    /// Whether the viewer wants the end alone, now or as soon as the program has its interrupt.
    pub(super) fn is_wanted(&self) -> bool {
        self.stage != Stage::No
    }

    /// Whether it wants the end alone now.
    pub(super) const fn is_on(&self) -> bool {
        matches!(self.stage, Stage::Yes { .. })
    }

    /// Everything goes out again.
    pub(super) fn stop(&mut self) {
        self.stage = Stage::No;
    }

    /// Somebody typed.
    pub(super) fn handle_typed(&mut self, typed: Typed, now: Instant) {
        let (input_end, lasts) = match typed {
            Typed::Nothing => return,
            Typed::Interrupt { input_end } => (input_end, LASTS),
            Typed::More { input_end } => (input_end, LASTS_AFTER_INPUT),
        };
        if input_end > self.heard {
            *self = Self { stage: Stage::Soon { lasts }, heard: input_end };
            return;
        }
        match &mut self.stage {
            Stage::No => {}
            Stage::Soon { lasts: until_now } => *until_now = lasts,
            Stage::Yes { until, .. } => *until = (*until).min(now + lasts),
        }
    }

    /// The program has all input below `applied`, the viewer was sent all output below `sent`.
    pub(super) fn handle_applied(&mut self, applied: u64, sent: u64, now: Instant) {
        if let Stage::Soon { lasts } = self.stage
            && applied >= self.heard
        {
            self.stage = Stage::Yes { from: sent, next: now + INTERVAL, until: now + lasts };
        }
    }

    /// What is due of the output up to `written`. Whoever is told that the end is, sends it.
    pub(super) fn due(&mut self, written: u64, last: LastEnd, now: Instant) -> Due {
        let Stage::Yes { from, next, until } = &mut self.stage else { return Due::All };
        if now >= *until {
            self.stage = Stage::No;
            return Due::All;
        }
        if written.saturating_sub(*from) <= AT_ONCE_BYTES {
            return Due::All;
        }
        // Ends that come faster than they are drawn would be another flood.
        match last {
            LastEnd::OnItsWay => return Due::Later((now + INTERVAL).min(*until)),
            LastEnd::Drawn if now < *next => return Due::Later(*next),
            LastEnd::Drawn => {}
        }
        (*from, *next) = (written, now + INTERVAL);
        Due::End
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interrupted(sent: u64, now: Instant) -> Overtaken {
        let mut overtaken = Overtaken::no();
        overtaken.handle_typed(Typed::Interrupt { input_end: 8 }, now);
        overtaken.handle_applied(8, sent, now);
        overtaken
    }

    fn due(overtaken: &mut Overtaken, written: u64, now: Instant) -> Due {
        overtaken.due(written, LastEnd::Drawn, now)
    }

    #[test]
    fn a_key_alone_interrupts_and_a_paste_does_not() {
        for key in ["\x03", "\x1c", "\x1a"] {
            let mut typed = Typed::Nothing;
            assert!(typed.handle(7, key.as_bytes()));
            assert_eq!(typed, Typed::Interrupt { input_end: 8 });
        }
        for other in ["", "c", "\x04", "a\x03", "\x03\x03"] {
            let mut typed = Typed::Nothing;
            assert!(!typed.handle(7, other.as_bytes()), "nobody is woken for {other:?}");
            assert_eq!(typed, Typed::Nothing);
        }
    }

    #[test]
    fn an_interrupt_is_not_missed_by_whoever_looks_after_more_was_typed() {
        let start = Instant::now();
        let mut typed = Typed::Nothing;
        assert!(typed.handle(7, b"\x03"));
        assert!(typed.handle(8, b"l"), "that something follows it is news");
        assert!(!typed.handle(9, b"s"), "that more does is none");
        let mut overtaken = Overtaken::no();
        overtaken.handle_typed(typed, start);
        overtaken.handle_applied(10, 0, start);
        assert_eq!(due(&mut overtaken, u64::MAX, start), Due::Later(start + INTERVAL));
        assert_eq!(due(&mut overtaken, u64::MAX, start + LASTS_AFTER_INPUT), Due::All);
        overtaken.handle_typed(typed, start + LASTS_AFTER_INPUT);
        assert!(!overtaken.is_wanted(), "what is over does not begin again");
    }

    #[test]
    fn it_begins_when_the_program_has_the_interrupt() {
        let start = Instant::now();
        let mut overtaken = Overtaken::no();
        overtaken.handle_applied(8, 0, start);
        assert_eq!(due(&mut overtaken, u64::MAX, start), Due::All);
        overtaken.handle_typed(Typed::Interrupt { input_end: 8 }, start);
        overtaken.handle_applied(7, 0, start);
        assert_eq!(due(&mut overtaken, u64::MAX, start), Due::All);
        overtaken.handle_applied(8, 0, start);
        assert_eq!(due(&mut overtaken, u64::MAX, start), Due::Later(start + INTERVAL));
    }

    #[test]
    fn a_prompt_goes_out_at_once_and_a_flood_by_its_end() {
        let start = Instant::now();
        let mut overtaken = interrupted(1_000, start);
        assert_eq!(due(&mut overtaken, 1_000 + AT_ONCE_BYTES, start), Due::All);
        let next = start + INTERVAL;
        assert_eq!(due(&mut overtaken, 1_001 + AT_ONCE_BYTES, start), Due::Later(next));
        assert_eq!(due(&mut overtaken, 9_000_000, next), Due::End);
        assert_eq!(due(&mut overtaken, 9_000_100, next), Due::All, "the prompt behind it waits for nothing");
        assert_eq!(due(&mut overtaken, 9_900_000, next), Due::Later(next + INTERVAL));
        assert_eq!(due(&mut overtaken, 9_900_000, next + INTERVAL), Due::End);
    }

    #[test]
    fn the_next_end_waits_until_the_last_is_drawn() {
        let start = Instant::now();
        let mut overtaken = interrupted(0, start);
        let next = start + INTERVAL;
        assert_eq!(overtaken.due(9_000_000, LastEnd::OnItsWay, next), Due::Later(next + INTERVAL));
        assert_eq!(overtaken.due(9_000_000, LastEnd::Drawn, next), Due::End);
    }

    #[test]
    fn it_passes_and_sooner_when_something_else_is_typed() {
        let start = Instant::now();
        let mut overtaken = interrupted(0, start);
        assert_eq!(due(&mut overtaken, u64::MAX, start + LASTS), Due::All);
        assert!(!overtaken.is_wanted());

        overtaken = interrupted(0, start);
        overtaken.handle_typed(Typed::More { input_end: 8 }, start);
        assert_eq!(due(&mut overtaken, u64::MAX, start + LASTS_AFTER_INPUT), Due::All);
        overtaken = interrupted(0, start);
        overtaken.handle_typed(Typed::More { input_end: 8 }, start + LASTS);
        assert_eq!(due(&mut overtaken, u64::MAX, start + LASTS), Due::All, "it is never made longer");

        overtaken.handle_typed(Typed::Interrupt { input_end: 9 }, start);
        overtaken.handle_typed(Typed::More { input_end: 9 }, start);
        overtaken.handle_applied(10, 0, start);
        assert_eq!(due(&mut overtaken, u64::MAX, start + LASTS_AFTER_INPUT), Due::All, "typed ahead of the prompt");
    }
}
