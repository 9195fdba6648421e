//! Every right that is withdrawn, in whatever state its sessions are: how long input is still accepted and processes live in
//! the pod, measured from outside, and whether people and the audit log are told which input of the right it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, ensure};
use futures_util::future::{join_all, try_join_all};
use podlatch_e2e::api::Api;
use podlatch_e2e::audit;
use podlatch_e2e::cluster::{Cluster, target};
use podlatch_e2e::people::{Member, Rule};
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::{Nap, Viewer};
use podlatch_impair::{Cut, UdpProxy};
use podlatch_protocol::close::EndCause;
use podlatch_protocol::target::PodTarget;
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

/// What is promised.
const PROMISED: Duration = Duration::from_secs(15);

/// For machines that are busy.
const SLACK: Duration = Duration::from_secs(5);

/// Within this nothing is left of a session, once its agent can be reached.
const GONE: Duration = Duration::from_secs(45);

/// How often somebody types a line.
const TYPING: Duration = Duration::from_millis(250);

/// What is withdrawn from one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Withdrawal {
    AccountSuspended,
    MembershipSuspended,
    Removed,
    RoleChanged,
    LoginRevoked,
    SignedOut,
    TokenRevoked,
    GroupLeft,
    RuleDeleted,
    RuleChanged,
    DenyAdded,
    ApprovalWithdrawn,
}

impl Withdrawal {
    const ALL: [Self; 12] = [
        Self::AccountSuspended,
        Self::MembershipSuspended,
        Self::Removed,
        Self::RoleChanged,
        Self::LoginRevoked,
        Self::SignedOut,
        Self::TokenRevoked,
        Self::GroupLeft,
        Self::RuleDeleted,
        Self::RuleChanged,
        Self::DenyAdded,
        Self::ApprovalWithdrawn,
    ];

    const fn cause(self) -> EndCause {
        match self {
            Self::AccountSuspended => EndCause::AccountSuspended,
            Self::MembershipSuspended => EndCause::MembershipSuspended,
            Self::Removed => EndCause::MembershipRemoved,
            Self::RoleChanged => EndCause::RoleChanged,
            Self::LoginRevoked | Self::SignedOut => EndCause::SignedOut,
            Self::TokenRevoked => EndCause::TokenRevoked,
            Self::GroupLeft => EndCause::GroupLeft,
            Self::RuleDeleted | Self::RuleChanged | Self::DenyAdded => EndCause::RuleChanged,
            Self::ApprovalWithdrawn => EndCause::ApprovalOver,
        }
    }
}

/// In what state a session is when its right is withdrawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Condition {
    /// Nobody has typed; somebody begins.
    Idle,
    /// Output comes without pause, and somebody types.
    Flowing,
    /// Somebody types in vi.
    Editor,
    /// The browser neither reads nor writes.
    Asleep,
    /// Relay and agent cannot reach each other, and somebody types.
    CutOff,
}

/// Those in which the agent can be reached.
const REACHED: [Condition; 4] = [Condition::Idle, Condition::Flowing, Condition::Editor, Condition::Asleep];

/// Numbers sessions.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Somebody from whom one thing will be withdrawn.
struct Subject {
    withdrawal: Withdrawal,
    member: Member,
    /// As what sessions are opened.
    api: Api,
    rule: Rule,
    /// What else has to be named: the token, the group, the request.
    other: String,
}

impl Subject {
    async fn prepare(stack: &Stack, withdrawal: Withdrawal, round: &str) -> anyhow::Result<Self> {
        let name = format!("{withdrawal:?}-{round}").to_lowercase();
        let owner = &stack.api;
        let role = if withdrawal == Withdrawal::RoleChanged { "admin" } else { "member" };
        let member = owner.invite(&name, role).await?;
        let (mut effect, mut who) = (json!({"allow": {}}), json!({"users": [member.id]}));
        let (mut api, mut other) = (member.api.clone(), String::new());
        match withdrawal {
            Withdrawal::RoleChanged => who = json!({"roles": ["admin"]}),
            Withdrawal::GroupLeft => {
                other = owner.group_of(&name, &member.id).await?;
                who = json!({"groups": [other]});
            }
            Withdrawal::TokenRevoked => (other, api) = member.api.api_token().await?,
            Withdrawal::ApprovalWithdrawn => {
                effect = json!({"allow": {"approval": {"lasts_seconds": 3_600, "approvers": "administrators"}}});
            }
            _ => {}
        }
        let rule = owner.rule(&name, effect, who).await?;
        if withdrawal == Withdrawal::ApprovalWithdrawn {
            other = member.api.request_access(&stack.cluster_id).await?;
            owner.decide(&other, "approve").await?;
        }
        Ok(Self { withdrawal, member, api, rule, other })
    }

    async fn withdraw(&self, stack: &Stack) -> anyhow::Result<()> {
        let (owner, id) = (&stack.api, &self.member.id);
        let person = format!("/people/{id}");
        let done = match self.withdrawal {
            Withdrawal::AccountSuspended => {
                return stack.admin(&["suspend", "person", &self.member.email]).await.map(drop);
            }
            Withdrawal::MembershipSuspended => {
                owner.call(Method::PATCH, &person, Some(json!({"suspended": true}))).await
            }
            Withdrawal::Removed => owner.call(Method::DELETE, &person, None).await,
            Withdrawal::RoleChanged => owner.call(Method::PATCH, &person, Some(json!({"role": "member"}))).await,
            Withdrawal::LoginRevoked => {
                let logins = self.member.api.call(Method::GET, "/login-sessions", None).await?;
                let login = logins["items"][0]["id"].as_str().context("no login")?;
                owner.call(Method::DELETE, &format!("/login-sessions/{login}"), None).await
            }
            Withdrawal::SignedOut => self.member.api.call(Method::DELETE, "/login-sessions/current", None).await,
            Withdrawal::TokenRevoked => {
                self.member.api.call(Method::DELETE, &format!("/api-tokens/{}", self.other), None).await
            }
            Withdrawal::GroupLeft => {
                owner.call(Method::DELETE, &format!("/groups/{}/members/{id}", self.other), None).await
            }
            Withdrawal::RuleDeleted => return owner.delete_rule(&self.rule).await,
            Withdrawal::RuleChanged => {
                let mut settings = self.rule.settings.clone();
                settings["namespaces"] = json!(["elsewhere"]);
                return owner.change_rule(&self.rule, settings).await;
            }
            Withdrawal::DenyAdded => {
                return owner.rule("No more", json!("deny"), json!({"users": [id]})).await.map(drop);
            }
            Withdrawal::ApprovalWithdrawn => return owner.decide(&self.other, "withdraw").await,
        };
        done.map(drop)
    }
}

/// Withdraws something from everybody at once.
async fn withdraw_from_all(stack: &Stack, cause: EndCause) -> anyhow::Result<()> {
    let cluster = format!("/clusters/{}", stack.cluster_id);
    match cause {
        EndCause::OrganisationSuspended => stack.admin(&["suspend", "organisation", "Test"]).await.map(drop),
        EndCause::ClusterRevoked => stack.api.call(Method::DELETE, &cluster, None).await.map(drop),
        EndCause::AgentRevoked => {
            let agents = stack.api.call(Method::GET, &format!("{cluster}/agents"), None).await?;
            let agent = agents["items"][0]["id"].as_str().context("no agent")?;
            stack.api.call(Method::DELETE, &format!("{cluster}/agents/{agent}"), None).await.map(drop)
        }
        other => anyhow::bail!("{other:?} is not withdrawn from everybody"),
    }
}

/// One session in its state.
struct Case {
    name: String,
    condition: Condition,
    cause: EndCause,
    viewer: Viewer,
    /// Stands in the command line of each of its processes.
    mark: String,
    /// Its browser sleeps until this is dropped.
    nap: Option<Nap>,
}

impl Case {
    async fn begin(stack: &Stack, api: &Api, state: (EndCause, Condition), name: String) -> anyhow::Result<Self> {
        let (cause, condition) = state;
        let mark = format!("88{:05}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let command = ["sh", "-i", "-s", &mark];
        let opened = api.open(&stack.cluster_id, &tools(), Some(&command)).await?;
        let viewer = Viewer::attach(api.clone(), opened).await?;
        let mut case = Self { name, condition, cause, viewer, mark, nap: None };
        case.bring_into_state().await.with_context(|| case.name.clone())?;
        Ok(case)
    }

    async fn bring_into_state(&mut self) -> anyhow::Result<()> {
        let mark = self.mark.clone();
        self.viewer.run(&format!("sleep {mark} & setsid sleep {mark} & true")).await?;
        match self.condition {
            Condition::Editor => {
                self.viewer.type_text(&format!("vi /tmp/{mark}\ri")).await;
                self.viewer.all_applied().await?;
            }
            Condition::Idle | Condition::CutOff | Condition::Flowing => {
                if self.condition == Condition::Flowing {
                    self.viewer.run("(while :; do echo flows; sleep 0.1; done) & true").await?;
                }
                // Each line that arrives is written down with the time, without a process of its own.
                let lines = format!("while read -r l; do read -r u i </proc/uptime; echo \"$u $l\"; done >/tmp/{mark}");
                self.viewer.type_text(&format!("echo be\"\"gun; {lines}\r")).await;
                self.viewer.wait_for("begun\r\n").await?;
            }
            Condition::Asleep => self.nap = Some(self.viewer.sleep().await),
        }
        Ok(())
    }

    /// Types until the session has ended; returns when input was last said to be applied.
    async fn type_on(&self, since: Instant) -> Option<Duration> {
        let (mut last, mut applied) = (None, self.viewer.seen().applied);
        while self.condition != Condition::Asleep && since.elapsed() < PROMISED + SLACK {
            // A viewer that cannot come back takes no input any more.
            let _in_vain = timeout(TYPING, self.viewer.type_text("more\r")).await;
            sleep(TYPING).await;
            let seen = self.viewer.seen();
            if seen.applied > applied {
                (last, applied) = (Some(since.elapsed()), seen.applied);
            }
            if seen.ended.is_some() {
                break;
            }
        }
        last
    }

    /// When the last line came, by the pod's own clock, in seconds since it was started.
    async fn last_line(&self, cluster: &Cluster) -> anyhow::Result<Option<f64>> {
        if matches!(self.condition, Condition::Editor | Condition::Asleep) {
            return Ok(None);
        }
        let lines = cluster.run(&tools(), &["cat", &format!("/tmp/{}", self.mark)]).await?;
        Ok(lines.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).next_back())
    }

    /// The person and the audit log are told the right cause.
    async fn check_cause(&mut self, owner: &Api) -> anyhow::Result<()> {
        self.nap = None;
        let ended = self.viewer.ended().await?;
        ensure!(ended["cause"] == self.cause.slug(), "{}: {ended}", self.name);
        ensure!(ended["message"] == self.cause.sentence(), "{}: {ended}", self.name);
        if self.cause == EndCause::OrganisationSuspended {
            // Nobody is left who may read its log.
            return Ok(());
        }
        let events = audit::gapless(owner, &self.viewer.session).await?;
        let told = format!("\"cause\":\"{}\"", self.cause.slug());
        ensure!(events.iter().any(|event| event.to_string().contains(&told)), "{}: {events:?}", self.name);
        Ok(())
    }
}

fn tools() -> PodTarget {
    target("default", "tools", "")
}

async fn uptime(cluster: &Cluster) -> anyhow::Result<f64> {
    let uptime = cluster.run(&tools(), &["cat", "/proc/uptime"]).await?;
    Ok(uptime.split(' ').next().context("no uptime")?.parse()?)
}

/// When the last process of each session was seen.
async fn last_processes(
    cluster: &Cluster,
    since: Instant,
    limit: Duration,
) -> anyhow::Result<BTreeMap<String, Duration>> {
    let script = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' | grep -o '88[0-9][0-9][0-9][0-9][0-9]'; true";
    let mut seen = BTreeMap::new();
    loop {
        let there = cluster.run(&tools(), &["sh", "-c", script]).await?;
        let at = since.elapsed();
        seen.extend(there.lines().map(|mark| (mark.to_owned(), at)));
        if there.trim().is_empty() {
            return Ok(seen);
        }
        ensure!(at < limit, "still there after {at:?}: {:?}", there.lines().collect::<BTreeSet<_>>());
        // This loop measures: it notes what it sees each time.
        sleep(Duration::from_millis(200)).await;
    }
}

/// What was measured, one number a session.
#[derive(Default)]
struct Histogram(Vec<(f64, String)>);

impl Histogram {
    fn note(&mut self, seconds: f64, name: &str) {
        self.0.push((seconds.max(0.0), name.to_owned()));
    }

    fn print(&self, what: &str) {
        println!("{what}: {} measured", self.0.len());
        let mut seconds = BTreeMap::<u64, usize>::new();
        for (took, _) in &self.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds, never negative")]
            let second = took.floor() as u64;
            *seconds.entry(second).or_default() += 1;
        }
        for (second, count) in seconds {
            println!("{second:>4} s {count:>3} {}", "#".repeat(count));
        }
        if let Some((took, name)) = self.0.iter().max_by(|one, other| one.0.total_cmp(&other.0)) {
            println!("  latest {took:.1} s: {name}");
        }
    }

    fn check(&self, limit: Duration) {
        for (took, name) in &self.0 {
            assert!(*took <= limit.as_secs_f64(), "{name}: {took:.1} s");
        }
    }
}

async fn subjects(stack: &Stack, round: &str) -> anyhow::Result<Vec<Subject>> {
    let wanted = Withdrawal::ALL.into_iter();
    try_join_all(wanted.map(|withdrawal| Subject::prepare(stack, withdrawal, round))).await
}

async fn begin(stack: &Stack, subjects: &[Subject], conditions: &[Condition]) -> anyhow::Result<Vec<Case>> {
    let all = subjects.iter().flat_map(|subject| conditions.iter().map(move |condition| (subject, *condition)));
    try_join_all(all.map(|(subject, condition)| {
        let name = format!("{:?} / {condition:?}", subject.withdrawal);
        Case::begin(stack, &subject.api, (subject.withdrawal.cause(), condition), name)
    }))
    .await
}

/// Types in all of them from the withdrawal on, and checks what is measured and told.
async fn observe(stack: &Stack, mut cases: Vec<Case>, withdrawn: Withdrawn) -> anyhow::Result<()> {
    let typing = join_all(cases.iter().map(|case| case.type_on(withdrawn.since)));
    let (applied, processes) = tokio::join!(typing, last_processes(&stack.cluster, withdrawn.since, GONE));
    let processes = processes?;
    let (mut input, mut ends) = (Histogram::default(), Histogram::default());
    for (case, applied) in cases.iter_mut().zip(applied) {
        if case.condition == Condition::Editor {
            input.note(applied.unwrap_or_default().as_secs_f64(), &case.name);
        } else if let Some(at) = case.last_line(&stack.cluster).await? {
            input.note(at - withdrawn.uptime, &case.name);
        }
        ends.note(processes.get(&case.mark).copied().unwrap_or_default().as_secs_f64(), &case.name);
        case.check_cause(&stack.api).await?;
    }
    input.print("from the withdrawal to the last accepted input");
    ends.print("from the withdrawal to the last process");
    input.check(PROMISED + SLACK);
    ends.check(PROMISED + SLACK);
    Ok(())
}

/// When something was withdrawn, by this machine's clock and by the pod's.
#[derive(Clone, Copy)]
struct Withdrawn {
    since: Instant,
    uptime: f64,
}

impl Withdrawn {
    /// It is withdrawn after this.
    async fn after(stack: &Stack) -> anyhow::Result<Self> {
        let uptime = uptime(&stack.cluster).await?;
        Ok(Self { since: Instant::now(), uptime })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_withdrawn_ends_the_sessions_in_time_and_says_what_it_was() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let subjects = subjects(&stack, "reached").await?;
    let cases = begin(&stack, &subjects, &REACHED).await?;
    let withdrawn = Withdrawn::after(&stack).await?;
    try_join_all(subjects.iter().map(|subject| subject.withdraw(&stack))).await?;
    observe(&stack, cases, withdrawn).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_while_relay_and_agent_are_cut_off_lets_no_late_input_in() -> anyhow::Result<()> {
    let (stack, proxy) = Stack::start_behind_proxy(Options::default()).await?;
    let subjects = subjects(&stack, "cut").await?;
    let cases = begin(&stack, &subjects, &[Condition::CutOff]).await?;
    while_cut_off(&stack, &proxy, cases, async || {
        try_join_all(subjects.iter().map(|subject| subject.withdraw(&stack))).await.map(drop)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organisation_that_is_suspended_while_cut_off_lets_no_late_input_in() -> anyhow::Result<()> {
    withdrawn_from_all_while_cut_off(EndCause::OrganisationSuspended).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_revoked_while_cut_off_lets_no_late_input_in() -> anyhow::Result<()> {
    withdrawn_from_all_while_cut_off(EndCause::AgentRevoked).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_revoked_while_cut_off_lets_no_late_input_in() -> anyhow::Result<()> {
    withdrawn_from_all_while_cut_off(EndCause::ClusterRevoked).await
}

async fn withdrawn_from_all_while_cut_off(cause: EndCause) -> anyhow::Result<()> {
    let (stack, proxy) = Stack::start_behind_proxy(Options::default()).await?;
    let name = format!("{} / {:?}", cause.slug(), Condition::CutOff);
    let case = Case::begin(&stack, &stack.api, (cause, Condition::CutOff), name).await?;
    while_cut_off(&stack, &proxy, vec![case], async || withdraw_from_all(&stack, cause).await).await
}

/// Cuts relay and agent off from each other, has something typed, withdraws, and heals the path later.
async fn while_cut_off(
    stack: &Stack,
    proxy: &UdpProxy,
    mut cases: Vec<Case>,
    withdraw: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    for case in &mut cases {
        case.viewer.type_text("before\r").await;
        case.viewer.all_applied().await?;
    }
    proxy.cut(Cut::Both);
    // This waits on the way to the agent when the right ends.
    for case in &cases {
        case.viewer.type_text("late\r").await;
    }
    // A real lapse of time: what was typed has to be on the line, where nothing tells of it.
    sleep(Duration::from_secs(1)).await;
    let Withdrawn { since, uptime } = Withdrawn::after(stack).await?;
    withdraw().await?;
    join_all(cases.iter().map(|case| case.type_on(since))).await;
    let mut told = Histogram::default();
    for case in &mut cases {
        case.check_cause(&stack.api).await?;
        told.note(since.elapsed().as_secs_f64(), &case.name);
    }
    told.print("from the withdrawal to the person's being told, while cut off");
    told.check(PROMISED + SLACK);
    // The connection still lives, and delivers what waits in it.
    sleep((PROMISED + Duration::from_secs(2)).saturating_sub(since.elapsed())).await;
    proxy.heal();
    let healed = Instant::now();
    let processes = last_processes(&stack.cluster, healed, GONE).await?;
    let (mut input, mut ends) = (Histogram::default(), Histogram::default());
    for case in &cases {
        if let Some(at) = case.last_line(&stack.cluster).await? {
            input.note(at - uptime, &case.name);
        }
        let lines = stack.cluster.run(&tools(), &["cat", &format!("/tmp/{}", case.mark)]).await?;
        ensure!(lines.contains("before") && lines.lines().count() == 1, "{}: {lines:?}", case.name);
        ends.note(processes.get(&case.mark).copied().unwrap_or_default().as_secs_f64(), &case.name);
    }
    input.print("from the withdrawal to the last accepted input, while cut off");
    ends.print("from the healing to the last process");
    input.check(PROMISED + SLACK);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_from_everybody_ends_all_sessions() -> anyhow::Result<()> {
    for cause in [EndCause::OrganisationSuspended, EndCause::ClusterRevoked, EndCause::AgentRevoked] {
        let stack = Stack::start().await?;
        let name = |condition: Condition| format!("{} / {condition:?}", cause.slug());
        let wanted = REACHED.into_iter();
        let cases = wanted.map(|condition| Case::begin(&stack, &stack.api, (cause, condition), name(condition)));
        let cases = try_join_all(cases).await?;
        let withdrawn = Withdrawn::after(&stack).await?;
        withdraw_from_all(&stack, cause).await?;
        observe(&stack, cases, withdrawn).await?;
    }
    Ok(())
}
