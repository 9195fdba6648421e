//! How much output the agent is granted, and when: what the viewers have room for, at the pace that others leave. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::recording::Position;
use crate::session::flow::Flow;
use crate::session::pace::Pace;

/// Who else is on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// Nobody is kept waiting by this session's output.
    Alone,
    /// Others type meanwhile.
    Shared,
}

/// A session's credit.
#[derive(Debug)]
pub(super) struct Credit {
    pub(super) flow: Flow,
    pace: Pace,
    /// When there may be more, where the pace holds it back.
    again_at: Option<Instant>,
    /// Until then the pace holds nothing back.
    hurried_until: Option<Instant>,
}

/// How long somebody is taken to wait who has not said so again.
const HURRY: Duration = Duration::from_millis(300);

impl Credit {
    pub(super) const fn new(flow: Flow, pace: Pace) -> Self {
        Self { flow, pace, again_at: None, hurried_until: None }
    }

    /// Somebody waits for what comes behind output that nobody wants any more.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.hurried_until = Some(now + HURRY);
    }

    /// By how much the agent's limit could grow, as far as the viewers go; `end` is where the output ends.
    pub(super) fn wanted(&mut self, end: Position) -> Option<u64> {
        self.again_at = None;
        self.flow.growth(end)
    }

    /// Grants what is wanted, or as much of it as the pace allows at `now`: the new limit, in source bytes, where that is worth
    /// a message.
    pub(super) fn grant(&mut self, wanted: u64, line: Line, now: Instant) -> Option<u64> {
        let allowance = self.pace.allowance(now);
        let growth = match line {
            Line::Alone => wanted,
            Line::Shared if self.hurried_until.is_some_and(|until| now < until) => wanted,
            Line::Shared => wanted.min(allowance),
        };
        if growth < self.flow.step() {
            self.again_at = Some(self.pace.allows_at(self.flow.step()));
            return None;
        }
        self.pace.spend(growth);
        Some(self.flow.grow(growth))
    }

    /// When [`Self::wanted`] has to be asked again, if time alone brings more.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.again_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::ViewerId;
    use crate::session::pace::FairRate;

    const A: ViewerId = ViewerId(1);

    fn at(offset: u64) -> Position {
        Position { recorded: offset, source: offset }
    }

    /// Grants and draws as fast as it may, for so many bytes at once; says how much that was.
    fn flood(credit: &mut Credit, line: Line, now: Instant) -> u64 {
        let mut drawn = 0;
        while drawn < 4 * 1024 * 1024 {
            let Some(limit) = credit.wanted(at(drawn)).and_then(|wanted| credit.grant(wanted, line, now)) else {
                break;
            };
            drawn = limit;
            credit.flow.handle_rendered(A, drawn, drawn);
        }
        drawn
    }

    #[test]
    fn a_flood_beside_others_is_held_back_and_says_until_when() {
        let now = Instant::now();
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        let mut credit = Credit::new(flow, Pace::new(FairRate::of_this_machine(), now));
        assert!(flood(&mut credit, Line::Shared, now) < 4 * 1024 * 1024);
        let again = credit.deadline().expect("more comes with time");
        assert!(again > now && again < now + Duration::from_secs(1));
        let end = at(0);
        assert!(credit.wanted(end).is_none() || credit.deadline().is_none(), "an answer is asked for anew each time");
    }

    #[test]
    fn a_flood_that_was_interrupted_is_not_held_back_for_a_moment() {
        let now = Instant::now();
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        let mut credit = Credit::new(flow, Pace::new(FairRate::of_this_machine(), now));
        credit.hurry(now);
        assert!(flood(&mut credit, Line::Shared, now + HURRY) < 4 * 1024 * 1024, "it is over");
        credit.hurry(now + HURRY);
        assert!(flood(&mut credit, Line::Shared, now + HURRY) >= 4 * 1024 * 1024);
    }

    #[test]
    fn a_flood_that_is_alone_is_not_held_back() {
        let now = Instant::now();
        let mut flow = Flow::at(0);
        flow.join(A, 0);
        let mut credit = Credit::new(flow, Pace::new(FairRate::of_this_machine(), now));
        assert!(flood(&mut credit, Line::Alone, now) >= 4 * 1024 * 1024);
        assert_eq!(credit.deadline(), None);
    }
}
