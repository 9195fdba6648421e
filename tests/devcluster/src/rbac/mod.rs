//! Who may do what: users, groups, rules, and the wording of a refusal.

mod users;

use std::collections::BTreeMap;

pub(crate) use users::{built_in_accounts, built_in_grants};

/// Members of this group may do everything.
const MASTERS: &str = "system:masters";
/// Everybody with a valid token is in this group.
const AUTHENTICATED: &str = "system:authenticated";

/// Somebody who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The name that rules and refusals use, for example `alice` or `system:serviceaccount:NAMESPACE:NAME`.
    pub name: String,
    /// The groups, without `system:authenticated`, which everybody has.
    pub groups: Vec<String>,
    /// What impersonation adds beside name and groups.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// A person or a service account; the latter gets the groups that Kubernetes gives it.
    pub fn named(name: &str) -> Self {
        let groups = match name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
            Some((namespace, _)) => {
                vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
            }
            None => Vec::new(),
        };
        Self { name: name.to_owned(), groups, extra: BTreeMap::new() }
    }

    fn is_in(&self, group: &str) -> bool {
        group == AUTHENTICATED || self.groups.iter().any(|one| one == group)
    }
}

/// What a rule is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// One user, by name.
    User(String),
    /// Every member of a group.
    Group(String),
}

/// Where a rule holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrantScope {
    /// Everywhere (a ClusterRoleBinding).
    Cluster,
    /// In one namespace (a RoleBinding).
    Namespace(String),
}

/// One rule of a role. `*` stands for all, in verbs, groups and resources.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// The verbs, for example `get`.
    pub verbs: Vec<String>,
    /// The API groups; the core group is the empty text.
    pub api_groups: Vec<String>,
    /// The resources, for example `pods` or `pods/exec`.
    pub resources: Vec<String>,
    /// The names it is limited to; empty means all.
    pub resource_names: Vec<String>,
}

impl Rule {
    /// A rule on resources of one group.
    pub fn new(verbs: &[&str], api_group: &str, resources: &[&str]) -> Self {
        let owned = |items: &[&str]| items.iter().map(|&item| item.to_owned()).collect();
        Self {
            verbs: owned(verbs),
            api_groups: vec![api_group.to_owned()],
            resources: owned(resources),
            resource_names: Vec::new(),
        }
    }
}

/// Rules bound to a subject in a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who gets the rules.
    pub subject: Subject,
    /// Where they hold.
    pub scope: GrantScope,
    /// The rules themselves.
    pub rules: Vec<Rule>,
}

/// What a request wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Attributes {
    Resource(ResourceAttributes),
    /// A path outside the resources, such as `/version`.
    Path {
        verb: String,
        path: String,
    },
}

/// A request on a resource. Empty texts mean "none" as in Kubernetes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ResourceAttributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl ResourceAttributes {
    /// The resource as rules and refusals name it, for example `pods/exec`.
    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }

    /// The text of a refusal after "is forbidden: ".
    pub(crate) fn refusal(&self, user: &User) -> String {
        let place = if self.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace \"{}\"", self.namespace)
        };
        format!(
            "User \"{}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
            user.name,
            self.verb,
            self.full_resource(),
            self.group
        )
    }
}

/// All grants. Pure: it only answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    grants: Vec<Grant>,
}

impl Policy {
    pub(crate) fn new(grants: Vec<Grant>) -> Self {
        Self { grants }
    }

    pub(crate) fn add(&mut self, grant: Grant) {
        self.grants.push(grant);
    }

    /// Takes away everything that was granted to a subject.
    pub(crate) fn revoke(&mut self, subject: &Subject) {
        self.grants.retain(|grant| grant.subject != *subject);
    }

    pub(crate) fn allows(&self, user: &User, attributes: &Attributes) -> bool {
        if user.is_in(MASTERS) {
            return true;
        }
        match attributes {
            // The discovery role that Kubernetes gives to everybody who is authenticated.
            Attributes::Path { verb, path } => verb == "get" && is_discovery(path),
            Attributes::Resource(wanted) => is_self_review(wanted) || self.granted(user, wanted),
        }
    }

    fn granted(&self, user: &User, wanted: &ResourceAttributes) -> bool {
        self.grants
            .iter()
            .filter(|grant| match &grant.subject {
                Subject::User(name) => *name == user.name,
                Subject::Group(group) => user.is_in(group),
            })
            .filter(|grant| match &grant.scope {
                GrantScope::Cluster => true,
                GrantScope::Namespace(namespace) => *namespace == wanted.namespace,
            })
            .flat_map(|grant| &grant.rules)
            .any(|rule| rule_covers(rule, wanted))
    }
}

fn rule_covers(rule: &Rule, wanted: &ResourceAttributes) -> bool {
    let has = |items: &[String], item: &str| items.iter().any(|one| one == "*" || one == item);
    has(&rule.verbs, &wanted.verb)
        && has(&rule.api_groups, &wanted.group)
        && has(&rule.resources, &wanted.full_resource())
        && (rule.resource_names.is_empty() || rule.resource_names.contains(&wanted.name))
}

fn is_self_review(wanted: &ResourceAttributes) -> bool {
    wanted.verb == "create"
        && wanted.group == "authorization.k8s.io"
        && matches!(wanted.resource.as_str(), "selfsubjectaccessreviews" | "selfsubjectrulesreviews")
}

fn is_discovery(path: &str) -> bool {
    ["/api", "/apis", "/healthz", "/livez", "/readyz", "/openapi", "/version"]
        .iter()
        .any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(verb: &str, namespace: &str) -> ResourceAttributes {
        ResourceAttributes {
            verb: verb.to_owned(),
            resource: "pods".to_owned(),
            subresource: "exec".to_owned(),
            namespace: namespace.to_owned(),
            name: "bb".to_owned(),
            ..ResourceAttributes::default()
        }
    }

    fn allows(user: &str, wanted: ResourceAttributes) -> bool {
        Policy::new(built_in_grants()).allows(&User::named(user), &Attributes::Resource(wanted))
    }

    #[test]
    fn the_agent_may_exec_with_both_verbs_and_may_not_read_secrets_elsewhere() {
        let agent = "system:serviceaccount:podlatch:podlatch-agent";
        assert!(allows(agent, exec("get", "shop")));
        assert!(allows(agent, exec("create", "shop")));
        let secret = ResourceAttributes {
            verb: "get".to_owned(),
            resource: "secrets".to_owned(),
            namespace: "shop".to_owned(),
            ..ResourceAttributes::default()
        };
        assert!(!allows(agent, secret));
    }

    #[test]
    fn half_the_verbs_are_half_the_right() {
        assert!(allows("exec-create-only", exec("create", "default")));
        assert!(!allows("exec-create-only", exec("get", "default")));
        assert!(allows("exec-get-only", exec("get", "default")));
        assert!(!allows("exec-get-only", exec("create", "default")));
    }

    #[test]
    fn a_role_binding_ends_at_its_namespace() {
        assert!(allows("shop-only", exec("create", "shop")));
        assert!(!allows("shop-only", exec("create", "default")));
    }

    #[test]
    fn a_refusal_reads_as_kubernetes_words_it() {
        assert_eq!(
            exec("get", "default").refusal(&User::named("alice")),
            r#"User "alice" cannot get resource "pods/exec" in API group "" in the namespace "default""#
        );
    }

    #[test]
    fn a_revoked_subject_has_nothing_left() {
        let mut policy = Policy::new(built_in_grants());
        policy.revoke(&Subject::User("shop-only".to_owned()));
        assert!(!policy.allows(&User::named("shop-only"), &Attributes::Resource(exec("get", "shop"))));
    }
}
