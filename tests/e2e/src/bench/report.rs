//! The table that `make bench` prints. Pure.

use std::fmt;

/// One measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// Direct exec, where that has such a figure.
    pub direct: Option<f64>,
    /// The whole line.
    pub line: f64,
    /// Of both.
    pub unit: &'static str,
    /// What is to be reached, if anything.
    pub goal: Option<Goal>,
    /// What helps to read it.
    pub note: String,
}

/// What is to be reached.
#[derive(Debug, Clone)]
pub struct Goal {
    /// For the table.
    pub text: String,
    /// Whether it is.
    pub reached: bool,
    /// Why it is missed where it is, as far as that was found out.
    pub cause: &'static str,
}

/// The table's first line; each figure is a line of its own.
pub fn heading() -> String {
    format!("{:<34}{:>12}{:>14}{:>16}  {:<9}note", "figure", "direct exec", "whole line", "to reach", "verdict")
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: f64| match self.unit {
            "ms" => format!("{value:.3} ms"),
            unit => format!("{value:.1} {unit}"),
        };
        let direct = self.direct.map_or_else(|| "-".to_owned(), value);
        let (goal, verdict) = match &self.goal {
            Some(Goal { text, reached: true, .. }) => (text.as_str(), "reached"),
            Some(Goal { text, reached: false, .. }) => (text.as_str(), "MISSED"),
            None => ("-", "-"),
        };
        let line = value(self.line);
        write!(f, "{:<34}{direct:>12}{line:>14}{goal:>16}  {verdict:<9}{}", self.name, self.note)?;
        match &self.goal {
            Some(Goal { reached: false, cause, .. }) => write!(f, "\n    missed because: {cause}"),
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_goal_is_called_missed() {
        let goal = |reached| Some(Goal { text: "+0.4 ms".to_owned(), reached, cause: "it is slow" });
        let figure =
            |goal| Figure { name: "echo", direct: Some(0.2), line: 0.9, unit: "ms", goal, note: String::new() };
        let missed = figure(goal(false)).to_string();
        assert!(missed.contains("MISSED") && missed.contains("it is slow"));
        assert!(figure(goal(true)).to_string().contains("reached"));
        assert!(!figure(None).to_string().contains("reached"));
    }
}
