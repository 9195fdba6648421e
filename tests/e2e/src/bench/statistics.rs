//! Percentiles, and the choice of quiet rounds. Pure.

use std::time::Duration;

/// The value below which `percent` of the samples lie, by nearest rank. There must be samples.
pub(super) fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    samples.sort_unstable();
    let rank = (samples.len() * percent).div_ceil(100);
    samples[rank.clamp(1, samples.len()) - 1]
}

/// The middle value; of two, the lower. There must be some.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

/// The half of the rounds with the least `noise`.
pub(super) fn quiet<T>(mut rounds: Vec<T>, noise: impl Fn(&T) -> f64) -> Vec<T> {
    rounds.sort_by(|one, other| noise(one).total_cmp(&noise(other)));
    rounds.truncate(rounds.len().div_ceil(2));
    rounds
}

/// A duration in milliseconds.
pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut samples, 50), Duration::from_millis(100));
        assert_eq!(percentile(&mut samples, 99), Duration::from_millis(198));
        assert_eq!(percentile(&mut [Duration::ZERO], 99), Duration::ZERO);
    }

    #[test]
    fn the_loud_half_does_not_count() {
        assert_eq!(quiet(vec![9.0, 1.0, 7.0, 2.0, 3.0], |noise| *noise), [1.0, 2.0, 3.0]);
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < f64::EPSILON);
    }
}
