//! The users that every devcluster has.

use super::{Grant, GrantScope, MASTERS, Rule, Subject, User};

/// A user and the short name under which tests and kubeconfigs ask for it.
pub(crate) struct Account {
    pub(crate) short_name: &'static str,
    pub(crate) user: User,
}

/// The service account that the agent's chart makes.
const AGENT: &str = "system:serviceaccount:podlatch:podlatch-agent";

/// The chart's default name for the Secret of the agent's identity.
const IDENTITY_SECRET: &str = "podlatch-agent-identity";

/// All built-in accounts:
///
/// - `admin` may do everything, and so may impersonate everybody;
/// - `podlatch-agent` has what the agent's chart grants, and no more;
/// - `podlatch-agent-impersonating` may besides impersonate users and groups;
/// - `alice` may do nothing;
/// - `exec-create-only` and `exec-get-only` read pods and have half of what an exec needs;
/// - `shop-only` reads and enters pods in the namespace `shop`.
pub(crate) fn built_in_accounts() -> Vec<Account> {
    let admin = User { groups: vec![MASTERS.to_owned()], ..User::named("admin") };
    let mut accounts = vec![
        Account { short_name: "admin", user: admin },
        Account { short_name: "podlatch-agent", user: User::named(AGENT) },
        Account {
            short_name: "podlatch-agent-impersonating",
            user: User::named("system:serviceaccount:podlatch:podlatch-agent-impersonating"),
        },
    ];
    for name in ["alice", "exec-create-only", "exec-get-only", "shop-only"] {
        accounts.push(Account { short_name: name, user: User::named(name) });
    }
    accounts
}

/// The grants of the built-in accounts.
pub(crate) fn built_in_grants() -> Vec<Grant> {
    let read = ["get", "list", "watch"];
    let user = |name: &str| Subject::User(name.to_owned());
    let in_namespace = |name: &str| GrantScope::Namespace(name.to_owned());
    let reads = [
        Rule::new(&read, "", &["namespaces", "pods"]),
        Rule::new(&read, "apps", &["deployments", "replicasets", "statefulsets", "daemonsets"]),
        Rule::new(&read, "batch", &["jobs", "cronjobs"]),
    ];
    let exec = |verbs: &[&str]| Rule::new(verbs, "", &["pods/exec"]);
    let with = |rule: Rule| reads.iter().cloned().chain([rule]).collect::<Vec<_>>();
    let both = exec(&["get", "create"]);
    let impersonating = "system:serviceaccount:podlatch:podlatch-agent-impersonating";
    let impersonate = Rule::new(&["impersonate"], "", &["users", "groups"]);
    // The agent keeps its identity in one Secret; "create" cannot be limited to a name.
    let secrets = vec![
        Rule { resource_names: vec![IDENTITY_SECRET.to_owned()], ..Rule::new(&["get", "update"], "", &["secrets"]) },
        Rule::new(&["create"], "", &["secrets"]),
    ];
    let grant = |name: &str, scope, rules| Grant { subject: user(name), scope, rules };
    vec![
        grant(AGENT, GrantScope::Cluster, with(both.clone())),
        grant(AGENT, in_namespace("podlatch"), secrets.clone()),
        grant(impersonating, GrantScope::Cluster, with(both.clone())),
        grant(impersonating, GrantScope::Cluster, vec![impersonate]),
        grant(impersonating, in_namespace("podlatch"), secrets),
        grant("exec-create-only", GrantScope::Cluster, with(exec(&["create"]))),
        grant("exec-get-only", GrantScope::Cluster, with(exec(&["get"]))),
        grant("shop-only", in_namespace("shop"), with(both)),
    ]
}
