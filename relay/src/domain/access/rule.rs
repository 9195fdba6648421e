//! Access rules: who may do what in which pods, and on what terms. Parsed at the edge; what is inside keeps its bounds.

use std::collections::BTreeSet;
use std::time::Duration;

use podlatch_protocol::id::{AccessRuleId, ClusterId, GroupId, OrganisationId, UserId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::pattern::Pattern;
use crate::clock::UnixMillis;
use crate::domain::labels::Labels;
use crate::domain::name::DisplayName;
use crate::domain::organisation::Role;

/// An access rule as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Its id.
    pub id: AccessRuleId,
    /// Whose it is. It says nothing about anything outside.
    pub organisation: OrganisationId,
    /// 1 at first, one more with each change: two editors notice each other.
    pub revision: u64,
    /// When it was made.
    pub created_at: UnixMillis,
    /// When it was changed last.
    pub updated_at: UnixMillis,
    /// What it says.
    pub settings: RuleSettings,
}

/// What a rule says. Everything that it names must fit, or it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AccessRuleSettings)]
pub struct RuleSettings {
    /// What people call it.
    #[schema(value_type = String)]
    pub name: DisplayName,
    /// `"deny"`, or `{"allow": TERMS}`.
    pub effect: Effect,
    /// Whom it is about.
    pub who: Who,
    /// In which clusters.
    pub clusters: Clusters,
    /// In which namespaces; `*` stands for any run of characters.
    #[schema(value_type = Vec<String>)]
    pub namespaces: Patterns,
    /// Labels that a pod must have; none: any pod.
    #[serde(default)]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub pod_labels: Labels,
    /// In which containers; `*` stands for any run of characters.
    #[schema(value_type = Vec<String>)]
    pub containers: Patterns,
    /// What may, or may not, be done there.
    #[schema(value_type = Vec<AccessAction>)]
    pub actions: Actions,
}

/// Whether a rule gives or takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = AccessRuleEffect)]
pub enum Effect {
    /// It gives, on these terms.
    Allow(Terms),
    /// It takes, whatever others give.
    Deny,
}

/// On what terms something is allowed. They hold where a process is started (`exec`, `debug`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = AccessRuleTerms)]
pub struct Terms {
    /// A session lives at most this long, in seconds.
    #[schema(value_type = Option<u64>)]
    pub max_duration_seconds: Option<Seconds>,
    /// It is closed after this long without human input, in seconds.
    #[schema(value_type = Option<u64>)]
    pub idle_close_seconds: Option<Seconds>,
    /// Whether the person must say why.
    pub reason: ReasonTerms,
    /// Whether somebody else must have allowed it.
    pub approval: Option<ApprovalTerms>,
}

/// Whether the person must say why.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReasonTerms {
    /// They may.
    #[default]
    Optional,
    /// They must.
    Required,
}

/// What an approval is worth, and whose counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApprovalTerms {
    /// How long an approval lasts at most, in seconds.
    #[schema(value_type = u64)]
    pub lasts_seconds: Seconds,
    /// Who may approve, never the person who asks: `"administrators"`, or `{"group": ID}`.
    #[schema(value_type = Object)]
    pub approvers: Approvers,
}

/// Who may approve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approvers {
    /// Owners and admins.
    Administrators,
    /// The members of a group.
    Group(GroupId),
}

/// What may be done in a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessAction {
    /// See that it is there.
    View,
    /// Start a process in one of its containers, and enter one's own sessions.
    Exec,
    /// Add a debug container, and start a process in it.
    Debug,
    /// Look on while another person's session goes on.
    Observe,
    /// See recordings of sessions in it.
    Replay,
}

impl AccessAction {
    /// Every action.
    pub const ALL: [Self; 5] = [Self::View, Self::Exec, Self::Debug, Self::Observe, Self::Replay];

    /// The stable name, for storage and APIs.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Exec => "exec",
            Self::Debug => "debug",
            Self::Observe => "observe",
            Self::Replay => "replay",
        }
    }

    /// The action with this stable name.
    pub fn from_slug(slug: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.slug() == slug)
    }

    /// Whether terms (reason, approval, limits) hold for it.
    pub const fn has_terms(self) -> bool {
        matches!(self, Self::Exec | Self::Debug)
    }
}

/// Whom a rule is about: whoever one of the lists names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "WhoLists")]
#[schema(as = AccessRuleWho)]
pub struct Who {
    /// People.
    #[schema(value_type = Vec<String>)]
    pub users: BTreeSet<UserId>,
    /// Groups.
    #[schema(value_type = Vec<String>)]
    pub groups: BTreeSet<GroupId>,
    /// Roles: `owner`, `admin`, `auditor`, `member`.
    #[schema(value_type = Vec<String>)]
    pub roles: BTreeSet<Role>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct WhoLists {
    users: BTreeSet<UserId>,
    groups: BTreeSet<GroupId>,
    roles: BTreeSet<Role>,
}

/// Something that no rule can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRule(&'static str);

/// Most entries of any list of a rule.
const MAX_ENTRIES: usize = 100;

impl TryFrom<WhoLists> for Who {
    type Error = InvalidRule;

    fn try_from(WhoLists { users, groups, roles }: WhoLists) -> Result<Self, InvalidRule> {
        if users.is_empty() && groups.is_empty() && roles.is_empty() {
            return Err(InvalidRule("a rule must name somebody: people, groups or roles"));
        }
        if users.len() > MAX_ENTRIES || groups.len() > MAX_ENTRIES {
            return Err(InvalidRule("a rule names at most 100 people and 100 groups; make a group"));
        }
        Ok(Self { users, groups, roles })
    }
}

/// In which clusters: those that are named by pattern or id, and have all the labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "ClusterLists")]
#[schema(as = AccessRuleClusters)]
pub struct Clusters {
    /// By name; `*` stands for any run of characters.
    #[schema(value_type = Vec<String>)]
    pub names: Vec<Pattern>,
    /// By id.
    #[schema(value_type = Vec<String>)]
    pub ids: BTreeSet<ClusterId>,
    /// Labels that the cluster must have besides.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub labels: Labels,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ClusterLists {
    names: Vec<Pattern>,
    ids: BTreeSet<ClusterId>,
    labels: Labels,
}

impl TryFrom<ClusterLists> for Clusters {
    type Error = InvalidRule;

    fn try_from(ClusterLists { names, ids, labels }: ClusterLists) -> Result<Self, InvalidRule> {
        if names.is_empty() && ids.is_empty() {
            return Err(InvalidRule("a rule must name clusters: * stands for all of them"));
        }
        if names.len() > MAX_ENTRIES || ids.len() > MAX_ENTRIES {
            return Err(InvalidRule("a rule names at most 100 clusters; give them a label"));
        }
        Ok(Self { names, ids, labels })
    }
}

/// At least one pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Pattern>")]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Whether one of them matches.
    pub fn match_any(&self, text: &str) -> bool {
        self.0.iter().any(|pattern| pattern.matches(text))
    }

    /// Whether they match everything, whatever it is.
    pub fn match_everything(&self) -> bool {
        self.0.iter().any(|pattern| pattern.as_str() == "*")
    }
}

impl TryFrom<Vec<Pattern>> for Patterns {
    type Error = InvalidRule;

    fn try_from(patterns: Vec<Pattern>) -> Result<Self, InvalidRule> {
        match patterns.len() {
            0 => Err(InvalidRule("a list of patterns must not be empty: * stands for everything")),
            1..=MAX_ENTRIES => Ok(Self(patterns)),
            _ => Err(InvalidRule("a list has at most 100 patterns")),
        }
    }
}

/// At least one action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeSet<AccessAction>")]
pub struct Actions(BTreeSet<AccessAction>);

impl Actions {
    /// Whether this one is among them.
    pub fn contain(&self, action: AccessAction) -> bool {
        self.0.contains(&action)
    }
}

impl TryFrom<BTreeSet<AccessAction>> for Actions {
    type Error = InvalidRule;

    fn try_from(actions: BTreeSet<AccessAction>) -> Result<Self, InvalidRule> {
        if actions.is_empty() { Err(InvalidRule("a rule must name an action")) } else { Ok(Self(actions)) }
    }
}

/// A length of time from a second to 31 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct Seconds(u64);

impl Seconds {
    const MAX: u64 = 31 * 24 * 3_600;

    /// As a duration.
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl TryFrom<u64> for Seconds {
    type Error = InvalidRule;

    fn try_from(seconds: u64) -> Result<Self, InvalidRule> {
        if (1..=Self::MAX).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(InvalidRule("a length of time has 1 to 2678400 seconds (31 days)"))
        }
    }
}

impl RuleSettings {
    /// The rule that every organisation begins with: an ordinary one, which may be changed and deleted.
    pub fn owners_open_everything() -> Result<Self, InvalidRule> {
        let text = r#"{"name": "Owners may open everything", "effect": {"allow": {}}, "who": {"roles": ["owner"]},
            "clusters": {"names": ["*"]}, "namespaces": ["*"], "containers": ["*"],
            "actions": ["view", "exec", "debug", "observe", "replay"]}"#;
        serde_json::from_str(text).map_err(|_| InvalidRule("the first rule of an organisation is no rule"))
    }

    /// The terms on which it allows; `None` if it denies.
    pub const fn terms(&self) -> Option<&Terms> {
        match &self.effect {
            Effect::Allow(terms) => Some(terms),
            Effect::Deny => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn plain() -> Value {
        json!({
            "name": "Shop", "effect": {"allow": {}}, "who": {"roles": ["member"]}, "clusters": {"names": ["*"]},
            "namespaces": ["shop-*"], "containers": ["*"], "actions": ["exec"],
        })
    }

    #[test]
    fn a_rule_survives_its_storage() {
        let mut value = plain();
        value["effect"] = json!({"allow": {"max_duration_seconds": 3600, "reason": "required",
            "approval": {"lasts_seconds": 60, "approvers": "administrators"}}});
        let rule: RuleSettings = serde_json::from_value(value).expect("a rule");
        let text = serde_json::to_string(&rule).expect("JSON");
        assert_eq!(serde_json::from_str::<RuleSettings>(&text).expect("the same"), rule);
        assert!(RuleSettings::owners_open_everything().is_ok());
    }

    #[test]
    fn what_a_rule_cannot_say_is_refused_with_a_reason() {
        for (field, bad) in [
            ("name", json!("")),
            ("effect", json!("maybe")),
            ("effect", json!({"allow": {"max_duration_seconds": 0}})),
            ("effect", json!({"allow": {"max_duration": 5}})),
            ("effect", json!({"allow": {"approval": {"lasts_seconds": 60}}})),
            ("who", json!({})),
            ("who", json!({"roles": ["king"]})),
            ("who", json!({"users": ["ada"]})),
            ("clusters", json!({})),
            ("clusters", json!({"names": ["*"], "labels": {"a b": "c"}})),
            ("namespaces", json!([])),
            ("namespaces", json!([""])),
            ("namespaces", json!(vec!["a"; 101])),
            ("containers", json!([])),
            ("actions", json!([])),
            ("actions", json!(["sudo"])),
            ("unknown", json!(1)),
        ] {
            let mut value = plain();
            value[field] = bad.clone();
            assert!(serde_json::from_value::<RuleSettings>(value).is_err(), "{field}: {bad}");
        }
    }
}
