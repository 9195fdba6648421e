//! What an agent says of itself, as it may be kept and shown: bounded, and of plain characters.

use podlatch_protocol::control::{About, GuardReport};

/// Longest name and condition, in characters.
const MAX_TEXT: usize = 253;

/// Most patterns and conditions of each kind.
const MAX_ITEMS: usize = 64;

/// The same, short and plain.
pub(super) fn plain(about: About) -> About {
    let GuardReport { namespaces, pod_labels } = about.guard;
    About {
        replica: text(&about.replica),
        guard: GuardReport { namespaces: list(&namespaces), pod_labels: list(&pod_labels) },
    }
}

fn list(items: &[String]) -> Vec<String> {
    items.iter().take(MAX_ITEMS).map(|item| text(item)).collect()
}

fn text(text: &str) -> String {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || "-._/*=! ".contains(*c);
    text.chars().filter(allowed).take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_short_and_plain() {
        let many = vec!["app=web\u{1b}[31m<b>".to_owned(); 1_000];
        let guard = GuardReport { namespaces: vec!["team-*".to_owned()], pod_labels: many };
        let kept = plain(About { replica: "p\0".repeat(1_000), guard });
        assert_eq!(kept.replica, "p".repeat(MAX_TEXT));
        assert_eq!(kept.guard.namespaces, ["team-*"]);
        assert_eq!((kept.guard.pod_labels.len(), kept.guard.pod_labels[0].as_str()), (MAX_ITEMS, "app=web31mb"));
    }
}
