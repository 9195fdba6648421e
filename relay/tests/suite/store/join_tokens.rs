use podlatch_protocol::id::AgentId;
use podlatch_relay::auth::token::{TokenHash, TokenKind};
use podlatch_relay::clock::UnixMillis;
use podlatch_relay::domain::agent::{Agent, PublicKeySha256};
use podlatch_relay::domain::audit::Origin;
use podlatch_relay::domain::organisation::ClientInfo;
use podlatch_relay::store::{Enrolled, JoinGrant, NewJoinToken, PageRequest, Redemption};

use super::fixture::{EXPIRY, Fixture, SOON, START};
use super::on_both_engines;

on_both_engines!(
    a_join_token_enrols_exactly_once_however_many_present_it,
    a_join_token_for_replicas_enrols_each_of_them_and_no_other,
    a_join_token_that_is_unknown_used_or_expired_says_so,
    a_lost_answer_is_given_again_to_the_same_key_alone,
);

async fn a_join_token_enrols_exactly_once_however_many_present_it(at: Fixture) {
    let here = at.owner("ada@example.org").await.organisation.id;
    let cluster = at.cluster(here).await;
    let token = at.join_token(&cluster).await;
    let presenters: Vec<_> = (0..16)
        .map(|number| {
            let (store, agent) = (at.store.clone(), Agent { public_key: key(number), ..at.new_agent(&cluster) });
            tokio::spawn(async move {
                store.enrol_agent(&token, &agent, &ClientInfo::default(), SOON).await.expect("answers")
            })
        })
        .collect();
    let mut enrolled = 0;
    for presenter in presenters {
        enrolled += usize::from(presenter.await.expect("joins") == Enrolled::Done);
    }
    assert_eq!(enrolled, 1);
    let agents = at.store.list_agents(here, cluster.id, PageRequest::default()).await.expect("lists");
    assert_eq!(agents.items.len(), 1);
}

async fn a_join_token_for_replicas_enrols_each_of_them_and_no_other(at: Fixture) {
    let cluster = at.cluster(at.owner("ada@example.org").await.organisation.id).await;
    let new = NewJoinToken { agents: 3, ..at.new_join_token(&cluster) };
    at.store.create_join_token(&new, &Origin::operator(), START).await.expect("creates");
    for number in 0..3 {
        assert!(grant(&at, &new.hash, number, SOON).await.redeemed().is_some(), "{number}");
        let agent = Agent { public_key: key(number), ..at.new_agent(&cluster) };
        assert_eq!(enrol(&at, &new.hash, &agent).await, Enrolled::Done);
    }
    assert_eq!(grant(&at, &new.hash, 3, SOON).await, Redemption::Used);
    let late = Agent { public_key: key(3), ..at.new_agent(&cluster) };
    assert_eq!(enrol(&at, &new.hash, &late).await, Enrolled::AskAgain);
}

async fn a_join_token_that_is_unknown_used_or_expired_says_so(at: Fixture) {
    let cluster = at.cluster(at.owner("ada@example.org").await.organisation.id).await;
    let token = at.join_token(&cluster).await;
    assert_eq!(grant(&at, &at.token(TokenKind::Join), 1, SOON).await, Redemption::Unknown);
    assert_eq!(grant(&at, &token, 1, EXPIRY).await, Redemption::Expired);
    assert!(grant(&at, &token, 1, SOON).await.redeemed().is_some(), "asking too late does not use it up");
    let agent = Agent { public_key: key(1), ..at.new_agent(&cluster) };
    assert_eq!(enrol(&at, &token, &agent).await, Enrolled::Done);
    assert_eq!(grant(&at, &token, 2, SOON).await, Redemption::Used);
}

async fn a_lost_answer_is_given_again_to_the_same_key_alone(at: Fixture) {
    let cluster = at.cluster(at.owner("ada@example.org").await.organisation.id).await;
    let token = at.join_token(&cluster).await;
    let agent = Agent { public_key: key(1), ..at.new_agent(&cluster) };
    assert_eq!(enrol(&at, &token, &agent).await, Enrolled::Done);

    let granted = grant(&at, &token, 1, SOON).await.redeemed().expect("is given again");
    assert_eq!(granted.agent, Some(agent.id));
    let client = ClientInfo::default();
    let again = async |agent: &Agent| at.store.enrol_again(&token, agent, &client).await.expect("answers");
    assert_eq!(again(&agent).await, Enrolled::Done);
    let stranger = Agent { id: AgentId::new(9, &[9; 10]), ..agent.clone() };
    assert_eq!(again(&stranger).await, Enrolled::AskAgain);
    assert_eq!(again(&Agent { public_key: key(2), ..agent.clone() }).await, Enrolled::AskAgain);
    assert_eq!(grant(&at, &token, 2, SOON).await, Redemption::Used);
    assert_eq!(grant(&at, &token, 1, EXPIRY).await, Redemption::Expired);

    at.store.revoke_agent(agent.organisation, agent.id, &Origin::operator(), SOON).await.expect("revokes");
    assert_eq!(grant(&at, &token, 1, SOON).await, Redemption::Used, "a revoked agent does not come back");
    assert_eq!(again(&agent).await, Enrolled::AskAgain);
}

const fn key(number: u8) -> PublicKeySha256 {
    PublicKeySha256([number; 32])
}

async fn grant(at: &Fixture, token: &TokenHash, number: u8, now: UnixMillis) -> Redemption<JoinGrant> {
    at.store.join_grant(token, key(number), now).await.expect("answers")
}

async fn enrol(at: &Fixture, token: &TokenHash, agent: &Agent) -> Enrolled {
    at.store.enrol_agent(token, agent, &ClientInfo::default(), SOON).await.expect("answers")
}
