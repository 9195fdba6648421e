//! No session outlives its right: its time is up, nobody types, somebody ends it, its pod or its agent is gone. Each leaves
//! the right record and audit trail, and no process.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use podlatch_e2e::api::problem;
use podlatch_e2e::cluster::{OwnPod, target};
use podlatch_e2e::poll;
use podlatch_e2e::stack::{Options, Stack};
use podlatch_e2e::viewer::Viewer;
use podlatch_impair::Cut;
use podlatch_protocol::target::PodTarget;
use podlatch_relay::domain::access::AuditScope;
use podlatch_relay::domain::audit::{Action, Event};
use podlatch_relay::store::{AuditFilter, DatabaseUrl, Store};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

/// Within this nothing of a session that was ended is alive, also on a busy machine. The relay itself promises five seconds.
const GONE: Duration = Duration::from_secs(20);

/// Within this something that needs no timeout has happened, also on a busy machine.
const SOON: Duration = Duration::from_mins(1);

/// Within this a lost connection is given up, and a grace time of some seconds is over.
const GIVEN_UP: Duration = Duration::from_secs(90);

fn relay(arguments: &[&str]) -> Options {
    Options { relay: arguments.iter().map(ToString::to_string).collect(), ..Options::default() }
}

/// Opens a session with three processes that would like to stay.
async fn open_with_processes(stack: &Stack, pod: &PodTarget, mark: &str) -> anyhow::Result<Viewer> {
    let mut viewer = stack.open(pod).await?;
    viewer.run(&format!("setsid sleep {mark}1 & (trap '' HUP; exec sleep {mark}2) & true")).await?;
    viewer.type_text(&format!("sleep {mark}3\r")).await;
    stack.cluster.wait_for_processes(pod, &format!("sleep {mark}"), 3).await?;
    Ok(viewer)
}

/// The session is over for this cause, and cannot be entered.
async fn expect_over(stack: &Stack, session: &str, (status, cause): (&str, &str)) -> anyhow::Result<Value> {
    stack.api.wait_until_ended(session, SOON).await?;
    let facts = stack.api.session(session).await?;
    assert_eq!((&facts["status"], &facts["end"]["cause"]), (&json!(status), &json!(cause)), "{facts}");
    let refused = stack.api.ticket(session).await.expect_err("an ended session gives no tickets");
    let refused = problem(&refused);
    assert_eq!((refused.status, refused.slug.as_str()), (410, "session_ended"));
    assert!(refused.detail.contains("cannot be resumed") && refused.detail.ends_with('.'), "{}", refused.detail);
    let listed = stack.api.call(Method::GET, &format!("/sessions?status={status}"), None).await?;
    let listed = listed["items"].as_array().context("no list")?;
    assert!(listed.iter().any(|item| item["id"] == session), "not listed as {status}");
    Ok(facts)
}

/// The audit trail of a session, in order; its numbers have no gap.
async fn trail(stack: &Stack, session: &str) -> anyhow::Result<Vec<Event>> {
    let store = Store::open(&DatabaseUrl::in_folder(&stack.relay_data())).await?;
    let me = stack.api.call(Method::GET, "/me", None).await?;
    let organisation = me["organisation"]["id"].as_str().context("no organisation")?.parse()?;
    let filter =
        AuditFilter { session: Some(session.parse()?), ..AuditFilter::everything(organisation, AuditScope::All) };
    let mut events = store.list_audit(&filter, None, 200).await?.items;
    store.close().await;
    events.reverse();
    let numbers: Vec<_> = events.iter().filter_map(|event| event.sequence).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    // What was typed is not what these tests are about.
    events.retain(|event| !matches!(event.action, Action::CommandExecuted | Action::CommandFinished));
    Ok(events)
}

/// Waits until the trail of a session ends in this.
async fn trail_ending_in(stack: &Stack, session: &str, last: Action) -> anyhow::Result<Vec<Event>> {
    poll::until(&format!("the trail ends in {last:?}"), SOON, || async {
        let events = trail(stack, session).await?;
        let over = events.last().is_some_and(|event| event.action == last);
        Ok(if over { Ok(events) } else { Err(format!("{:?}", actions(&events))) })
    })
    .await
}

fn actions(events: &[Event]) -> Vec<Action> {
    events.iter().map(|event| event.action).collect()
}

fn of(events: &[Event], action: Action) -> Vec<&Event> {
    events.iter().filter(|event| event.action == action).collect()
}

fn details(events: &[Event], action: Action, key: &str) -> Vec<Value> {
    of(events, action).iter().map(|event| event.details.get(key).cloned().unwrap_or(Value::Null)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_is_gone_for_good_also_after_restarts_of_relay_and_agent() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    stack.admin(&["set-limits", "--organisation", "Test", "--session-max", "20s"]).await?;
    let mut viewer = open_with_processes(&stack, &tools, "751").await?;
    let session = viewer.session.clone();
    let life = viewer.wait("its life", |seen| seen.life.is_some()).await?.life.context("just seen")?;
    assert!(life["expires_in_ms"].as_u64().is_some_and(|millis| millis <= 20_000), "{life}");
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("expired"), &json!("confirmed")));
    stack.cluster.wait_until_gone(&tools, "sleep 751", GONE).await?;
    expect_over(&stack, &session, ("expired", "expired")).await?;

    let events = trail_ending_in(&stack, &session, Action::Disconnect).await?;
    let told = [Action::SessionOpen, Action::SessionStarted, Action::Connect, Action::SessionEnd, Action::Disconnect];
    assert_eq!(actions(&events), told);
    assert_eq!(details(&events, Action::SessionEnd, "cause"), [json!("expired")]);
    assert_eq!(details(&events, Action::Disconnect, "cause"), [json!("session_ended")]);
    assert!(details(&events, Action::Disconnect, "output_bytes")[0].as_u64().is_some_and(|bytes| bytes > 0));

    stack.kill_relay().await?;
    stack.restart_relay().await?;
    expect_over(&stack, &session, ("expired", "expired")).await?;
    stack.kill_agent().await?;
    stack.restart_agent()?;
    stack.wait_until_online().await?;
    expect_over(&stack, &session, ("expired", "expired")).await?;
    assert_eq!(actions(&trail(&stack, &session).await?), told);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_cannot_be_reached_ends_an_expired_session_by_its_own_clock() -> anyhow::Result<()> {
    let (mut stack, proxy) = Stack::start_behind_proxy(relay(&["--session-max", "25s"])).await?;
    let tools = target("default", "tools", "");
    let viewer = open_with_processes(&stack, &tools, "761").await?;
    let session = viewer.session.clone();
    proxy.cut(Cut::Both);
    let took = stack.cluster.wait_until_gone(&tools, "sleep 761", SOON).await?;
    println!("a cut-off agent had ended the session after {took:?}");
    let facts = expect_over(&stack, &session, ("expired", "expired")).await?;
    assert_eq!(facts["end"]["cleanup"], "unconfirmed", "nobody could tell the relay");
    proxy.heal();
    let events = trail_ending_in(&stack, &session, Action::SessionCleanup).await?;
    assert_eq!(details(&events, Action::SessionEnd, "cause"), [json!("expired")]);
    let facts = expect_over(&stack, &session, ("expired", "expired")).await?;
    assert_eq!(facts["end"]["cleanup"], "confirmed", "once they met again");

    // The relay is not there when the time is up.
    let viewer = open_with_processes(&stack, &tools, "762").await?;
    let session = viewer.session.clone();
    stack.kill_relay().await?;
    stack.cluster.wait_until_gone(&tools, "sleep 762", SOON).await?;
    stack.restart_relay().await?;
    expect_over(&stack, &session, ("expired", "expired")).await?;
    let events = trail(&stack, &session).await?;
    assert_eq!(details(&events, Action::SessionEnd, "cause"), [json!("expired")]);
    assert_eq!(details(&events, Action::Disconnect, "cause"), [json!("relay_restarted")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_in_which_nobody_types_is_flagged_and_then_closed() -> anyhow::Result<()> {
    let stack = Stack::start_with(relay(&["--idle-after", "6s", "--idle-close", "30s"])).await?;
    let tools = target("default", "tools", "");
    let mut viewer = stack.open(&tools).await?;
    let session = viewer.session.clone();
    viewer.type_text("while sleep 0.3; do echo still here; done\r").await;
    let idle = |wanted: bool| {
        move |seen: &podlatch_e2e::viewer::Seen| seen.life.as_ref().is_some_and(|life| life["idle"] == wanted)
    };
    let seen = viewer.wait("being idle", idle(true)).await?;
    assert!(seen.text().contains("still here"), "output is no activity");
    let life = seen.life.context("just seen")?;
    assert!(life["idle_since_ms"].as_u64().is_some_and(|millis| millis >= 6_000), "{life}");
    assert!(life["idle_closes_in_ms"].as_u64().is_some_and(|millis| millis <= 24_000), "{life}");
    assert_eq!(stack.api.session(&session).await?["idle"], true);

    // What a terminal answers by itself is none either.
    viewer.type_bytes(Bytes::from_static(b"\x1b[24;80R")).await;
    viewer.all_applied().await?;
    assert_eq!(stack.api.session(&session).await?["idle"], true);
    viewer.type_text("x").await;
    viewer.wait("being busy", idle(false)).await?;
    let facts = stack.api.session(&session).await?;
    assert_eq!((&facts["idle"], &facts["status"]), (&json!(false), &json!("active")));

    viewer.wait("being idle again", idle(true)).await?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("idle"), &json!("confirmed")));
    stack.cluster.wait_until_gone(&tools, "still here", GONE).await?;
    expect_over(&stack, &session, ("closed", "idle")).await?;
    let events = trail_ending_in(&stack, &session, Action::Disconnect).await?;
    assert_eq!(details(&events, Action::SessionIdle, "idle"), [json!(true), json!(false), json!(true)]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_other_end_leaves_its_record_its_trail_and_no_process() -> anyhow::Result<()> {
    let mut stack = Stack::start_with(relay(&["--grace", "8s"])).await?;
    let tools = target("default", "tools", "");

    let mut viewer = open_with_processes(&stack, &tools, "771").await?;
    stack.api.end(&viewer.session).await?;
    viewer.ended().await?;
    stack.cluster.wait_until_gone(&tools, "sleep 771", GONE).await?;
    expect_over(&stack, &viewer.session, ("closed", "closed_by_user")).await?;
    let events = trail_ending_in(&stack, &viewer.session, Action::Disconnect).await?;
    assert_eq!(of(&events, Action::SessionEndRequested).len(), 1);
    assert_eq!(details(&events, Action::SessionEnd, "cause"), [json!("closed_by_user")]);

    let pod = OwnPod::start(&stack.cluster, "e2e-life").await?;
    let mut viewer = stack.open(&pod.target).await?;
    viewer.run("echo here").await?;
    pod.delete().await?;
    viewer.ended().await?;
    expect_over(&stack, &viewer.session, ("closed", "pod_gone")).await?;
    let events = trail_ending_in(&stack, &viewer.session, Action::Disconnect).await?;
    assert_eq!(details(&events, Action::SessionEnd, "cause"), [json!("pod_gone")]);

    let viewer = open_with_processes(&stack, &tools, "772").await?;
    stack.kill_agent().await?;
    let end = stack.api.wait_until_ended(&viewer.session, GIVEN_UP).await?;
    assert_eq!((&end["cause"], &end["cleanup"]), (&json!("agent_lost"), &json!("unconfirmed")));
    stack.restart_agent()?;
    stack.cluster.wait_until_gone(&tools, "sleep 772", SOON).await?;
    let events = trail_ending_in(&stack, &viewer.session, Action::SessionCleanup).await?;
    assert_eq!(details(&events, Action::SessionEnd, "cleanup"), [json!("unconfirmed")]);
    let facts = expect_over(&stack, &viewer.session, ("closed", "agent_lost")).await?;
    assert_eq!(facts["end"]["cleanup"], "confirmed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_and_sizes_are_audited_without_gap_or_double_also_when_the_relay_is_killed() -> anyhow::Result<()> {
    let mut stack = Stack::start().await?;
    let mut viewer = stack.open(&target("default", "tools", "")).await?;
    let session = viewer.session.clone();
    viewer.run("true").await?;
    for columns in 81..=180 {
        viewer.send_json(&json!({"type": "resize", "columns": columns, "rows": 30})).await;
    }
    let start = Instant::now();
    while viewer.run("stty size").await? != "30 180" {
        anyhow::ensure!(start.elapsed() < SOON, "the last size never arrives");
    }
    let sizes = details(&trail(&stack, &session).await?, Action::Resize, "columns");
    assert!((1..=10).contains(&sizes.len()), "a drag is not a hundred events: {sizes:?}");
    assert_eq!(sizes.last(), Some(&json!(180)));

    for _ in 0..3 {
        let before = viewer.seen().attachments;
        stack.kill_relay().await?;
        stack.restart_relay().await?;
        viewer.wait("the new relay", |seen| seen.attachments > before).await?;
    }
    viewer.run("true").await?;
    viewer.type_text("exit\r").await;
    viewer.ended().await?;
    let events = trail_ending_in(&stack, &session, Action::Disconnect).await?;
    let lost = json!("relay_restarted");
    let causes = details(&events, Action::Disconnect, "cause");
    assert_eq!(causes, [lost.clone(), lost.clone(), lost, json!("session_ended")]);
    let (came, left) = (details(&events, Action::Connect, "viewer"), details(&events, Action::Disconnect, "viewer"));
    assert_eq!(came, left, "everybody who came has left, once");
    let (connect, end) = (actions(&events)[2], actions(&events)[events.len() - 2]);
    assert_eq!((connect, end), (Action::Connect, Action::SessionEnd));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_who_may_ends_a_session_and_the_log_says_who() -> anyhow::Result<()> {
    let stack = Stack::start().await?;
    let tools = target("default", "tools", "");
    let bob = stack.api.invite("bob", "admin").await?.api;
    let mut viewer = open_with_processes(&stack, &tools, "781").await?;
    bob.end(&viewer.session).await?;
    let ended = viewer.ended().await?;
    assert_eq!((&ended["cause"], &ended["cleanup"]), (&json!("closed_by_other"), &json!("confirmed")));
    assert!(ended["message"].as_str().is_some_and(|text| text.contains("someone else")), "{ended}");
    stack.cluster.wait_until_gone(&tools, "sleep 781", GONE).await?;
    expect_over(&stack, &viewer.session, ("closed", "closed_by_other")).await?;
    let events = trail_ending_in(&stack, &viewer.session, Action::Disconnect).await?;
    let requested = of(&events, Action::SessionEndRequested);
    assert_eq!(requested.iter().map(|event| event.actor.name.as_str()).collect::<Vec<_>>(), ["bob@example.org"]);
    assert_eq!(details(&events, Action::SessionEnd, "cause"), [json!("closed_by_other")]);
    assert_eq!(details(&events, Action::Disconnect, "cause"), [json!("session_ended")]);
    Ok(())
}
