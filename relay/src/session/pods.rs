//! What is known of the pods by whose labels rights go. It is asked anew with each look, as long as a live session's right
//! depends on it, and an answer counts from when it was asked for. Pure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use podlatch_protocol::close::{Refusal, RefusalCode};
use podlatch_protocol::id::ClusterId;
use podlatch_protocol::pod::PodDescription;
use podlatch_protocol::target::{Namespace, PodName};
use tokio::time::Instant;

use super::life::LEASE_VALID;

/// An answer that is younger than this is not asked for again: less than the time between two looks that nothing hastened.
const ASK_AGAIN: Duration = Duration::from_millis(2_500);

/// Names a pod.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct PodKey {
    pub(super) cluster: ClusterId,
    pub(super) namespace: Namespace,
    pub(super) pod: PodName,
}

/// What a cluster said of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It is this one, with these labels.
    Pod { uid: String, labels: BTreeMap<String, String> },
    /// Nobody can say its labels, or the agent does not let it be seen.
    Unsaid,
}

impl Answer {
    /// What an answer is worth; `None`: as much as no answer.
    pub(super) fn of(said: Result<PodDescription, Refusal>) -> Option<Self> {
        match said {
            Ok(pod) => Some(Self::Pod { uid: pod.uid, labels: pod.labels.into_map() }),
            Err(refusal) => {
                let for_good = matches!(
                    refusal.code,
                    RefusalCode::PodLabelsUnknown | RefusalCode::NotAllowedByAgent | RefusalCode::BadRequest
                );
                for_good.then_some(Self::Unsaid)
            }
        }
    }
}

/// An answer and its age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    /// When it was asked for.
    pub(super) at: Instant,
    pub(super) answer: Answer,
}

/// Whether somebody waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    Now,
    Not,
}

#[derive(Debug)]
struct Known {
    asking: Asking,
    said: Option<Said>,
}

/// All that is known.
#[derive(Debug, Default)]
pub(super) struct Pods {
    known: HashMap<PodKey, Known>,
}

impl Pods {
    /// What was said last, unless it is too old to count.
    pub(super) fn said(&self, key: &PodKey, now: Instant) -> Option<Said> {
        let said = self.known.get(key)?.said.as_ref()?;
        (now.saturating_duration_since(said.at) < LEASE_VALID).then(|| said.clone())
    }

    /// Of what is wanted, what is to be asked now, by cluster. Everything else is forgotten.
    pub(super) fn due(&mut self, wanted: HashSet<PodKey>, now: Instant) -> HashMap<ClusterId, Vec<PodKey>> {
        self.known.retain(|key, known| known.asking == Asking::Now || wanted.contains(key));
        let mut due: HashMap<ClusterId, Vec<PodKey>> = HashMap::new();
        for key in wanted {
            let known = self.known.entry(key.clone()).or_insert(Known { asking: Asking::Not, said: None });
            let young = |said: &Said| now.saturating_duration_since(said.at) < ASK_AGAIN;
            if known.asking == Asking::Not && !known.said.as_ref().is_some_and(young) {
                known.asking = Asking::Now;
                due.entry(key.cluster).or_default().push(key);
            }
        }
        due
    }

    /// A question that was asked at `at` has its answer, or none. Says whether it is news.
    pub(super) fn answered(&mut self, key: &PodKey, at: Instant, answer: Option<Answer>) -> News {
        let Some(known) = self.known.get_mut(key) else {
            return News::None;
        };
        known.asking = Asking::Not;
        let Some(answer) = answer else {
            return News::None;
        };
        let said = Said { at, answer };
        // One that had run out counts as news too: its session waits for it.
        let fresh = |old: &Said| at.saturating_duration_since(old.at) < LEASE_VALID && old.answer == said.answer;
        let news = if known.said.as_ref().is_some_and(fresh) { News::None } else { News::Some };
        known.said = Some(said);
        news
    }
}

/// Whether rights have to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum News {
    /// They have.
    Some,
    /// Nothing changed.
    None,
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn key(cluster: u128, pod: &str) -> PodKey {
        PodKey {
            cluster: ClusterId::from_uuid(Uuid::from_u128(cluster)),
            namespace: "shop".parse().expect("a namespace"),
            pod: pod.parse().expect("a pod"),
        }
    }

    fn pod(value: &str) -> Option<Answer> {
        let labels = BTreeMap::from([("app".to_owned(), value.to_owned())]);
        Some(Answer::Pod { uid: "u".to_owned(), labels })
    }

    fn asked(pods: &mut Pods, wanted: &[PodKey], now: Instant) -> Vec<PodKey> {
        pods.due(wanted.iter().cloned().collect(), now).into_values().flatten().collect()
    }

    #[test]
    fn what_is_wanted_is_asked_again_and_again_and_one_question_at_a_time() {
        let (mut pods, start) = (Pods::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let (web, wanted) = (key(1, "web"), [key(1, "web")]);
        assert_eq!(asked(&mut pods, &wanted, start), wanted);
        assert!(asked(&mut pods, &wanted, at(9_000)).is_empty(), "it is being asked");
        assert_eq!(pods.answered(&web, start, pod("a")), News::Some);
        assert!(asked(&mut pods, &wanted, at(2_000)).is_empty(), "it was asked a moment ago");
        assert_eq!(asked(&mut pods, &wanted, at(3_000)), wanted);
        assert_eq!(pods.answered(&web, at(3_000), pod("a")), News::None);
        assert_eq!(asked(&mut pods, &wanted, at(6_000)), wanted);
        assert_eq!(pods.answered(&web, at(6_000), pod("b")), News::Some);
        assert_eq!(pods.said(&web, at(6_000)).map(|said| said.answer), pod("b"));
        assert!(asked(&mut pods, &[], at(7_000)).is_empty() && pods.known.is_empty(), "nobody asks for it");
    }

    #[test]
    fn an_answer_counts_from_its_question_and_runs_out() {
        let (mut pods, start) = (Pods::default(), Instant::now());
        let (web, wanted) = (key(1, "web"), [key(1, "web")]);
        asked(&mut pods, &wanted, start);
        assert_eq!(pods.answered(&web, start, pod("a")), News::Some);
        let late = start + LEASE_VALID;
        assert_eq!(asked(&mut pods, &wanted, late), wanted);
        assert_eq!(pods.answered(&web, late, None), News::None, "no answer changes nothing");
        assert_eq!(pods.said(&web, late), None, "and an old one does not count");
        asked(&mut pods, &wanted, late);
        assert_eq!(pods.answered(&web, late, pod("a")), News::Some, "a session waits for it");
    }

    #[test]
    fn only_a_refusal_for_good_is_an_answer() {
        let refused = |code| Answer::of(Err(Refusal::new(code, "")));
        for code in [RefusalCode::PodLabelsUnknown, RefusalCode::NotAllowedByAgent, RefusalCode::BadRequest] {
            assert_eq!(refused(code), Some(Answer::Unsaid));
        }
        for code in [RefusalCode::AgentTimeout, RefusalCode::KubernetesUnreachable, RefusalCode::PodNotFound] {
            assert_eq!(refused(code), None);
        }
    }
}
